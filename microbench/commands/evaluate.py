"""`microbench attack` and `microbench perturb`: a policy and cells → results.csv, a table and plots."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import attacks
import perturbations
import reports
from microbench.checkpoints import Checkpoint, load_own
from microbench.commands.progress import track
from microbench.errors import UserError
from microbench.evaluate import Conditions, check_task
from microbench.plan import CLEAN, Cell, Chunk, Episode, chunks, plan_episodes
from microbench.runs import RESULTS, find_policy
from microbench.tasks import find_task
from microbench.versions import versions
from microbench.workers import evaluate_chunks
from reports.files import replace
from reports.results import append, read, write
from reports.schema import KEY


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """The options that all evaluating commands share."""

    checkpoint: Path | None
    runs: Path
    env: str | None
    unit: str
    norm: str
    episodes: int
    seed: int
    workers: int
    out: Path | None
    resume: bool
    quiet: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Where the results are, the rows of this evaluation, and the files of the report."""

    results: Path
    frame: pd.DataFrame
    files: dict[str, Path]


def attack_cells(names: Sequence[str], budgets: Sequence[float]) -> list[Cell]:
    """The clean cell, then every attack at every budget; no names means every built-in attack.

    Raises:
        ValueError: an unknown attack, or a budget that is negative or not finite.

    """
    for eps in budgets:
        if not 0 <= eps < float("inf"):
            raise UserError(f"--eps {eps} is no budget; expected a finite number of at least 0, for example --eps 0.1.")
    for name in names:
        attacks.resolve(name)
    return [CLEAN, *(Cell(attack=name, eps=eps) for name in names or attacks.ATTACKS for eps in budgets)]


def perturbation_cells(factors: dict[str, Sequence[float]]) -> list[Cell]:
    """The clean cell, then every perturbation at every factor.

    Raises:
        ValueError: an unknown perturbation or a factor it cannot take.

    """
    for name, values in factors.items():
        for factor in values:
            perturbations.resolve(name)(factor)
    return [
        CLEAN,
        *(Cell(perturbation=name, factor=factor) for name, values in factors.items() for factor in values),
    ]


def evaluate(cells: Sequence[Cell], options: EvaluateOptions) -> Outcome:
    """Run the cells, write rows as they come, then the table and the plots.

    Raises:
        UserError: no such checkpoint, a checkpoint of another task, or an option out of range.

    """
    if options.episodes < 1 or options.workers < 1:
        raise UserError("--episodes and --workers must be at least 1.")
    began = time.monotonic()
    path = find_policy(options.checkpoint, options.runs)
    checkpoint = load_own(path)
    conditions = Conditions(env_id=options.env or checkpoint.env_id, unit=options.unit, norm=options.norm)
    check_task(checkpoint, find_task(conditions.env_id))
    checkpoint.target.scale(options.unit)
    folder = options.out or path.parent
    planned = plan_episodes(cells, options.episodes, options.seed)
    keys = _keys(checkpoint, conditions, planned)
    results = folder / RESULTS
    _prepare(results, keys, keep=options.resume)
    missing = _missing(results, keys, planned)
    _run(path, conditions, list(chunks(missing)), results, options)
    frame = read(results)
    mine = frame[_known(frame, keys)]
    run = {"command": sys.argv, "versions": versions(), "conditions": asdict(conditions)}
    _record(results, run | {"checkpoint": checkpoint.sha256, "seconds": round(time.monotonic() - began, 1)})
    files = reports.write_report(frame[frame["checkpoint"] == checkpoint.sha256], folder / "report", _sidecar(results))
    return Outcome(results=results, frame=mine.reset_index(drop=True), files=files)


def summary(outcome: Outcome, *, as_json: bool) -> str:
    """What the command prints: the table of this evaluation, or its numbers as JSON, and where everything is."""
    where = {"results.csv": outcome.results} | outcome.files
    if as_json:
        cells = json.loads(reports.summarize(outcome.frame).to_json(orient="records"))
        return json.dumps({"cells": cells, "files": {name: str(path) for name, path in where.items()}}, indent=2)
    return reports.markdown(outcome.frame) + "\n" + "\n".join(f"{name}: {path}" for name, path in where.items())


def _run(path: Path, conditions: Conditions, work: list[Chunk], results: Path, options: EvaluateOptions) -> None:
    total = sum(len(chunk) for chunk in work)
    done = 0
    with track("episodes", total, quiet=options.quiet) as tracker:
        for rows in evaluate_chunks(path, conditions, work, options.workers):
            append(rows, results)
            done += len(rows)
            tracker.advance_to(done)


def _keys(checkpoint: Checkpoint, conditions: Conditions, planned: list[Episode]) -> pd.DataFrame:
    """The identifying columns of every planned row."""
    common = {
        "algorithm": checkpoint.algorithm,
        "dataset": checkpoint.dataset,
        "train_seed": checkpoint.train_seed,
        "checkpoint": checkpoint.sha256,
        "task": conditions.env_id,
        "unit": conditions.unit,
        "norm": conditions.norm,
    }
    rows = [
        common | asdict(episode.cell) | {"episode": episode.number, "eval_seed": episode.seed} for episode in planned
    ]
    return pd.DataFrame(rows)[list(KEY)].astype({"train_seed": "Int64"})


def _known(rows: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows (n,) stand in `others` too, judged by what identifies an episode."""
    indices = [pd.MultiIndex.from_frame(frame[list(KEY)].astype(object).fillna("")) for frame in (rows, others)]
    return indices[0].isin(indices[1])


def _prepare(results: Path, keys: pd.DataFrame, *, keep: bool) -> None:
    """Unless the evaluation is resumed, its rows are measured anew: old ones of the same cells leave the table."""
    if keep or not results.exists():
        return
    old = read(results)
    again = _known(old, keys)
    if again.any():
        write(old[~again], results, _sidecar(results))


def _missing(results: Path, keys: pd.DataFrame, planned: list[Episode]) -> list[Episode]:
    if not results.exists():
        return planned
    there = _known(keys, read(results))
    return [episode for episode, found in zip(planned, there, strict=True) if not found]


def _record(results: Path, run: dict[str, Any]) -> None:
    """Add how these rows were made to the JSON beside the table; one entry per command."""
    known = _sidecar(results)
    replace(
        results.with_suffix(".json"), (json.dumps({"runs": [*known.get("runs", []), run]}, indent=2) + "\n").encode()
    )


def _sidecar(results: Path) -> dict[str, Any]:
    path = results.with_suffix(".json")
    try:
        about: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged ({error}); remove it, the results beside it are not affected.") from error
    return about
