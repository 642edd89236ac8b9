"""`microbench attack` and `microbench perturb`: a policy and cells → results.csv, a table and plots."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

import attacks
import reports
from microbench.attacking import Conditions, ball, each_sensor, find_attack, with_critics
from microbench.checkpoints import Checkpoint, Overrides
from microbench.checkpoints.own import FAMILY as OWN
from microbench.checkpoints.record import NONE
from microbench.commands import opening
from microbench.commands.progress import Estimate, track
from microbench.commands.rows import finish, flag_claim, identify, missing_episodes, past_runs, planned_rows
from microbench.errors import UserError, unknown_name
from microbench.evaluate import check_task
from microbench.plan import Cell, Episode, plan_episodes
from microbench.tasks import find_task
from microbench.versions import versions
from microbench.workers import evaluate_episodes
from microbench.worlds import effects
from reports.results import RESULTS
from reports.writer import Writer


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """The options that all evaluating commands share."""

    checkpoint: Path | None
    runs: Path
    env: str | None
    unit: str | None  # None means the dataset's spread, else the policy's own
    norm: str
    episodes: int
    seed: int
    workers: int | None  # processes; None means one per core
    out: Path | None
    resume: bool
    quiet: bool
    ray: str | None = None  # auto, local or the address of a cluster; None means processes of this machine
    overrides: Overrides = NONE
    claim: float | None = None  # the return that the policy is said to earn
    skip_unservable: bool = False
    critics: tuple[str, ...] = ()  # files, or own; the attacks that ask a critic are run with each


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The rows of this evaluation; the results and the files of the report by name."""

    frame: pd.DataFrame
    files: dict[str, Path]


def attack_cells(names: Sequence[str], budgets: Sequence[float]) -> list[Cell]:
    """Every attack at every budget.

    Raises:
        ValueError: an unknown attack, a budget that is negative or not finite, or only one of the two.

    """
    if bool(names) != bool(budgets):
        raise UserError("an attack needs a budget and a budget an attack: give both --attack and --eps, or neither.")
    for eps in budgets:
        if not 0 <= eps < float("inf"):
            raise UserError(f"--eps {eps} is no budget; expected a finite number of at least 0, for example --eps 0.1.")
    for name in names:
        find_attack(name)
    return [Cell(attack=name, eps=eps) for name in names for eps in budgets]


def evaluate(cells: Sequence[Cell], options: EvaluateOptions) -> Outcome:
    """Run the cells, write rows as they come, then the table and the plots.

    Episodes that results.csv holds already are measured again and replaced one chunk after the other, or, with
    `resume`, left as they are.

    Raises:
        ValueError: no such checkpoint, one of another task or without the unit, an option out of range, or files of an
            earlier evaluation that are damaged.
        OSError: the folder cannot be written.

    """
    if options.episodes < 1 or (options.workers is not None and options.workers < 1):
        raise UserError("--episodes and --workers must be at least 1.")
    began = time.monotonic()
    checkpoint = opening.open_checkpoint(
        options.checkpoint, options.runs, replace(options.overrides, env_id=options.env)
    )
    unit = opening.unit_of(checkpoint, options.unit)
    conditions = Conditions(env_id=options.env or checkpoint.env_id, unit=unit, norm=options.norm)
    _check(checkpoint, conditions)
    task = find_task(conditions.env_id)
    cells = with_critics(each_sensor(task, cells), options.critics, checkpoint.target)
    if options.skip_unservable:
        cells = opening.servable_cells(checkpoint, task, cells, quiet=options.quiet)
    opening.check_attacks(checkpoint, task, cells)
    critics = opening.judges(checkpoint, task, cells, quiet=options.quiet)
    changed = effects(task, cells)  # now, so that a part that the robot lacks is told at once
    opening.probe(checkpoint, conditions, options.seed, quiet=options.quiet)
    folder = opening.results_folder(checkpoint, options.out, options.runs)
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / RESULTS
    planned = plan_episodes(cells, options.episodes, options.seed)
    keys = identify(checkpoint, conditions, planned)
    opening.check_same_critics(past_runs(results), critics)
    missing = missing_episodes(results, keys, planned)  # both read in any case: damage is told before the work
    _run(checkpoint, conditions, missing if options.resume else planned, results, options)
    this_run = _this_run(checkpoint, conditions, time.monotonic() - began)
    this_run |= {"effects": changed, "claim": options.claim, "inferred": checkpoint.inferred, "critics": critics}
    if options.claim is not None:
        flag_claim(results, checkpoint, options.claim)
    frame = finish(results, keys, this_run)
    about = {"runs": past_runs(results)}
    files = reports.write_report(frame[frame["checkpoint"] == checkpoint.sha256], folder / "report", about)
    return Outcome(frame=planned_rows(frame, keys), files={RESULTS: results} | files)


def _check(checkpoint: Checkpoint, conditions: Conditions) -> None:
    """Raise UserError for what would only be noticed when the first chunk runs."""
    check_task(checkpoint, find_task(conditions.env_id))
    offered = checkpoint.target.obs_scale
    if conditions.unit in attacks.UNITS and conditions.unit not in offered:
        raise UserError(f"{checkpoint.path} has no {conditions.unit}; choose --unit {', '.join(offered)}.")
    if conditions.unit not in offered:
        raise unknown_name("unit", conditions.unit, offered)
    if ball(conditions.norm)[1] and checkpoint.target.obs_bounds is None:
        way = "train it again" if checkpoint.family == OWN else "give the dataset with --obs-stats FILE.hdf5"
        raise UserError(
            f"{checkpoint.path} does not say the range of its dataset's observations: {way}, or leave --in-range out."
        )


def _this_run(checkpoint: Checkpoint, conditions: Conditions, seconds: float) -> dict[str, Any]:
    """How these rows were made."""
    command = ["microbench", *sys.argv[1:]]  # not the script's own path, which is the machine's
    told = {"command": command, "versions": versions(), "conditions": asdict(conditions)}
    return told | {"checkpoint": checkpoint.sha256, "seconds": round(seconds, 1)}


def _run(
    checkpoint: Checkpoint, conditions: Conditions, episodes: list[Episode], results: Path, options: EvaluateOptions
) -> None:
    estimate = Estimate(Counter(episode.cell.attack for episode in episodes))
    finished = evaluate_episodes(checkpoint, conditions, episodes, options.workers, options.ray)
    with (
        track("episodes", len(episodes), quiet=options.quiet) as tracker,
        Writer(results) as writer,
        closing(finished),
    ):
        for done in finished:
            writer.put(done.rows)
            estimate.finished(done.rows["attack"].iloc[0], len(done.rows), done.seconds, done.workers)
            tracker.advance_to(estimate.done, left=estimate.seconds())
