"""The unit of eps: that of `--unit`, else the policy's first, else one measured on its own clean episodes."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import torch

import attacks
import perturbations
from microbench.checkpoints import Checkpoint
from microbench.errors import UserError, unknown_name
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.plan import Cell
from microbench.evaluation.rollout_std import UNIT as MEASURED
from microbench.evaluation.rollout_std import rollout_std
from microbench.progress import say
from microbench.seeds import ROLLOUT_STD
from microbench.tasks import find_task

BY_DEFAULT = ("dataset-std", "policy-norm")
"""Units used without `--unit`, in this order, if the policy offers them."""

NONE = "none"
"""The unit in rows in which nothing is measured in a unit."""


def needs_unit(cells: Iterable[Cell]) -> bool:
    """Whether any cell attacks what the policy observes, or disturbs its sensors."""
    return any(cell.attack != "none" or perturbations.needs_scale(cell.perturbation) for cell in cells)


def unit_of(checkpoint: Checkpoint, asked: str | None, *, needed: bool = True) -> str:
    """The unit of `--unit`, else the dataset's std, else the policy's normaliser, else one to be measured.

    If nothing needs a unit and the policy has none of the first, it is "none".

    Raises:
        UserError: the policy does not offer the unit of `--unit`.
    """
    offered = checkpoint.target.obs_scale
    if asked is None:
        own = [unit for unit in BY_DEFAULT if unit in offered]
        return [*own, MEASURED if needed else NONE][0]
    if asked in offered or asked == MEASURED or (asked == NONE and not needed):
        return asked
    known = list(dict.fromkeys([*offered, MEASURED]))
    if asked in attacks.UNITS:
        raise UserError(f"{checkpoint.path} has no {asked}; choose --unit {', '.join(known)}.")
    raise unknown_name("unit", asked, known)


def measured(
    checkpoint: Checkpoint,
    conditions: Conditions,
    *,
    asked: str | None,
    past: Sequence[Mapping[str, Any]] = (),
    quiet: bool = True,
) -> Conditions:
    """The conditions with the raw size of their unit, if it has to be measured; without `--unit` it prints so.

    A size that an earlier command recorded for the same results is used again, so that all their rows share one unit.

    Raises:
        UserError: no sensor of the policy moves, so that there is no unit.
    """
    if conditions.unit != MEASURED or MEASURED in checkpoint.target.obs_scale:
        return conditions
    if asked is None:
        say(
            f"{checkpoint.path} has no statistics of observations, so eps is measured in {MEASURED}: the standard "
            f"deviation of each sensor in {len(ROLLOUT_STD)} clean episodes of its own (--unit or --obs-stats for "
            f"another).",
            quiet=quiet,
        )
    scale = _recorded(checkpoint, conditions, past)
    if scale is None:
        scale = tuple(rollout_std(checkpoint.target, find_task(conditions.env_id)).tolist())
    return replace(conditions, scale=scale)


def record(checkpoint: Checkpoint, conditions: Conditions) -> dict[str, Any]:
    """The entry of results.json for a measured unit: its size per sensor, and the episodes that measured it."""
    if conditions.scale is None:
        return {}
    return {
        "scale": {
            "unit": conditions.unit,
            "task": conditions.env_id,
            "values": list(conditions.scale),
            "sha256": digest(conditions.scale),
            "episodes": len(ROLLOUT_STD),
            "first_seed": ROLLOUT_STD.start,
        }
    }


def digest(scale: Sequence[float]) -> str:
    """The SHA-256 of a scale's float32 numbers."""
    return hashlib.sha256(torch.tensor(scale, dtype=torch.float32).numpy().astype("<f4").tobytes()).hexdigest()


def _recorded(
    checkpoint: Checkpoint, conditions: Conditions, past: Sequence[Mapping[str, Any]]
) -> tuple[float, ...] | None:
    """The scale recorded by the newest earlier command that measured this policy and task in the same way."""
    sensors = checkpoint.target.blank.shape[1] - len(checkpoint.target.start)
    for run in reversed(past):
        about = run.get("scale")
        if run.get("checkpoint") != checkpoint.sha256 or not isinstance(about, dict):
            continue
        if about.get("task") == conditions.env_id and about.get("first_seed") == ROLLOUT_STD.start:
            values = about.get("values")
            if _is_scale(values, sensors) and digest(values) == about.get("sha256"):
                return tuple(values)
    return None


def _is_scale(values: Any, sensors: int) -> TypeGuard[list[float]]:
    return (
        isinstance(values, list)
        and len(values) == sensors
        and all(isinstance(value, float) and math.isfinite(value) and value >= 0 for value in values)
        and any(values)
    )
