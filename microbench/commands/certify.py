"""`microbench certify`: what attacks reach at the states of clean episodes beside what no attack can exceed."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from attacks import Feedforward, Target, Threat
from microbench.checkpoints import Checkpoint
from microbench.commands import policy as opening
from microbench.commands import units
from microbench.commands.evaluate import attack_cells
from microbench.commands.options import CertifyOptions
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions, ball
from microbench.evaluation.certified import Certified, certified, states_of
from microbench.evaluation.chunk import check_task
from microbench.studies.provenance import provenance
from microbench.tasks import find_task
from reports import files
from reports.figures import certificates as figures
from reports.figures import curves
from reports.rows.printable import printable
from reports.tables import certificates as tables
from reports.tables.formats import to_csv

FOLDER, NAME = "certificates", "certificates"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The numbers as a table (`reports.tables.certificates`), as JSON, and the files by name."""

    table: pd.DataFrame
    about: dict[str, Any]
    files: dict[str, Path]


def certify(options: CertifyOptions, budgets: Sequence[float]) -> Certificate:
    """Measure and write certificates.json, .csv, .md and the figure into the folder `certificates` of the results.

    Raises:
        UserError: the policy is no feed-forward network with activations that have bounds, or has no such unit.
        ValueError: no such checkpoint, or a budget that is none.
        OSError: the folder cannot be written.
    """
    attack_cells(["random"], budgets)  # a budget or a norm that is none is told before anything is read
    norm, in_range = ball(options.norm)
    checkpoint = opening.open_checkpoint(options.checkpoint, options.runs, options.policy.overrides(options.env))
    network = network_of(checkpoint)
    env_id = options.env or checkpoint.env_id
    task = find_task(env_id)
    check_task(checkpoint, task)
    opening.say_choices(checkpoint, quiet=options.quiet)
    unit = units.unit_of(checkpoint, options.unit)
    conditions = units.measured(
        checkpoint,
        Conditions(env_id=env_id, unit=unit, norm=norm, in_range=in_range or options.in_range),
        asked=options.unit,
        quiet=options.quiet,
    )
    target = conditions.of(checkpoint.target)
    seeds = range(options.seed, options.seed + options.episodes)
    threats = [_threat(target, conditions, eps) for eps in sorted(set(budgets))]
    obs = states_of(target, task, seeds, options.states)
    certificates = certified(target, network, obs, threats, _half(target))
    about = {
        "command": ["microbench", *sys.argv[1:]],
        **provenance(),
        "policy": str(options.checkpoint or checkpoint.path),
        "checkpoint": checkpoint.sha256,
        "task": env_id,
        "unit": unit,
        "norm": conditions.norm_column,
        "seeds": [seeds.start, seeds.stop - 1],
        "states": len(obs),
        **units.record(checkpoint, conditions),
        "budgets": [_numbers(one) for one in certificates],
    }
    table = tables.frame(about["budgets"], unit=unit, norm=conditions.norm_column, states=len(obs))
    folder = opening.results_folder(checkpoint, options.out, options.runs) / FOLDER
    return Certificate(table=table, about=about, files=_written(folder, table, about))


def network_of(checkpoint: Checkpoint) -> Feedforward:
    """The policy's layers; UserError for a policy that has none."""
    if checkpoint.target.network is None:
        memory = checkpoint.target.memory is not None
        why = "it has a memory or a clock" if memory else "layers of relu, leaky_relu, elu, tanh or sigmoid are"
        raise UserError(
            f"{checkpoint.path} is no feed-forward network that can be bounded ({why}), so there is no certificate; "
            f"use microbench attack, which needs no layers."
        )
    return checkpoint.target.network


def printed(certificate: Certificate, *, as_json: bool) -> str:
    """The table and where everything is, or all numbers as JSON."""
    where = {name: str(path) for name, path in certificate.files.items()}
    if as_json:
        return json.dumps({**certificate.about, "files": where}, indent=2)
    lines = (f"{name}: {printable(path)}" for name, path in where.items())
    return tables.markdown(certificate.table) + "\n" + "\n".join(lines)


def _threat(target: Target, conditions: Conditions, eps: float) -> Threat:
    low, high = target.require_obs_bounds() if conditions.in_range else (None, None)
    scale, norm = target.scale(conditions.unit), conditions.norm
    return Threat(eps=eps, scale=scale, unit=conditions.unit, norm="l2" if norm == "l2" else "linf", low=low, high=high)


def _half(target: Target) -> Tensor:
    """Half-widths (A,) of the action box, or 1 where the policy and its task have none."""
    if target.action_box is None:
        return torch.ones(1)
    low, high = target.action_box
    return (high - low) / 2


def _numbers(one: Certified) -> dict[str, Any]:
    """What JSON holds of one budget: over states in half-widths, and the extremes per component in action units."""
    over = {
        name: {"mean": float(change.mean()), "median": float(change.median()), "max": float(change.max())}
        for name, change in one.changes.items()
    }
    largest = {name: change.amax(0).tolist() for name, change in one.actions.items()}
    return {"eps": one.eps, "changes": over, "largest_per_action": largest, "flags": list(one.flags)}


def _written(folder: Path, table: pd.DataFrame, about: Mapping[str, Any]) -> dict[str, Path]:
    texts = {
        "json": json.dumps(about, indent=2) + "\n",
        "csv": to_csv(table),
        "md": tables.markdown(table),
    }
    paths = {f"{NAME}.{ending}": folder / f"{NAME}.{ending}" for ending in texts}
    for path, text in zip(paths.values(), texts.values(), strict=True):
        files.replace(path, text.encode())
    drawn = curves.save(figures.certificate_plot(table), folder / NAME)
    return paths | {path.name: path for path in drawn}
