"""What attacks a chunk of episodes: from the text of an attack and a budget per row to an `Attack` and its `Threat`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

import attacks
from attacks import Attack, Target, Threat
from attacks.language import parse
from microbench.checkpoints.adversary import PREFIX, Adversary, load_adversary
from microbench.errors import UserError, unknown_name
from microbench.plan import Cell
from microbench.sensors import EACH, chosen, sensor_names
from microbench.tasks import Task

IN_RANGE = "in-range"


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What all cells of an evaluation share: the task that is simulated, and how a budget is measured."""

    env_id: str
    unit: str = "dataset-std"
    norm: str = "linf"  # or `linf,in-range`: see `ball`


@dataclass(frozen=True, kw_only=True, eq=False)
class Attacked:
    """The target as the attack sees it, the attack, and the budget per row (B, 1); None for clean rows."""

    target: Target
    attack: Attack | None = None
    threat: Threat | None = None


def ball(norm: str) -> tuple[str, bool]:
    """`linf,in-range` → the norm, and whether observations stay within the range of the data.

    Raises:
        UserError: another norm, or something else after it.
    """
    name, comma, rest = norm.partition(",")
    if name not in attacks.NORMS:
        raise unknown_name("norm", name, attacks.NORMS)
    if comma and rest != IN_RANGE:
        raise UserError(
            f"'{norm}' is no norm; expected {' or '.join(attacks.NORMS)}, alone or followed by ,{IN_RANGE}."
        )
    return name, bool(comma)


def find_attack(text: str) -> Attack:
    """A built-in attack, anybody's as module:name, or a learned adversary as adversary:FILE.

    Raises:
        ValueError: there is none of that name, or the file holds no such adversary.
    """
    if text.startswith(PREFIX):
        return load_adversary(Path(text.removeprefix(PREFIX)))
    return attacks.resolve(text)


def sensors_of(text: str) -> tuple[str, ...]:
    """The only sensors that the attack of this text may touch; empty for all of them."""
    return () if text.startswith(PREFIX) else parse(text).sensors


def each_sensor(task: Task, cells: Sequence[Cell]) -> list[Cell]:
    """The cells, every attack on `@each` put as one on each sensor of the task.

    Raises:
        ValueError: an attack or a sensor that cannot be read.
    """
    found = []
    for cell in cells:
        sensors = sensors_of(cell.attack)
        if sensors == (EACH,):
            spec = parse(cell.attack)
            found += [replace(cell, attack=str(replace(spec, sensors=(name,)))) for name in sensor_names(task)]
        else:
            if sensors:
                chosen(task, sensors)  # now, so that a sensor that the task lacks is told at once
            found.append(cell)
    return found


def attacked(target: Target, task: Task, conditions: Conditions, cells: Sequence[Cell]) -> Attacked:
    """What a chunk attacks, its attack, and the budget per row (B, 1); a chunk holds one attack only.

    Raises:
        ValueError: an unknown attack, sensor or unit, or one that this policy cannot serve.
    """
    (text,) = {cell.attack for cell in cells}
    if text == "none":
        return Attacked(target=target)
    attack = find_attack(text)
    if isinstance(attack, Adversary):
        target = attack.remembering(target)
    eps = torch.tensor([[cell.eps] for cell in cells], dtype=torch.float32)
    scale = target.scale(conditions.unit)
    if sensors := sensors_of(text):
        scale = torch.where(torch.from_numpy(chosen(task, sensors)), scale, 0.0)
    if target.memory is not None:  # no attack touches what the policy remembers
        scale = torch.cat([scale, scale.new_zeros(len(target.memory.start))])
    norm, in_range = ball(conditions.norm)
    low, high = _bounds(target, len(scale)) if in_range else (None, None)
    threat = Threat(eps=eps, scale=scale, unit=conditions.unit, norm=norm, low=low, high=high)  # type: ignore[arg-type]  # Threat checks the name
    return Attacked(target=target, attack=attack, threat=threat)


def _bounds(target: Target, columns: int) -> tuple[Tensor, Tensor]:
    """The range of the data (S + H,), without bounds for a memory."""
    low, high = target.require_obs_bounds()
    free = low.new_full((columns - len(low),), torch.inf)
    return torch.cat([low, -free]), torch.cat([high, free])
