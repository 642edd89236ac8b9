"""`microbench attack` and `microbench perturb`: a policy and cells → results.csv, a table and plots."""

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import reports
from microbench import progress
from microbench.checkpoints import Checkpoint
from microbench.checkpoints.own import FAMILY as OWN
from microbench.commands import policy as opening
from microbench.commands import units
from microbench.errors import UserError
from microbench.evaluation import descriptions
from microbench.evaluation.attacked import Conditions, ball, each_sensor, find_attack, with_critics
from microbench.evaluation.chunk import check_task
from microbench.evaluation.perturbed import effects
from microbench.evaluation.plan import Cell, plan_episodes
from microbench.seeds import met
from microbench.studies import servable, worst
from microbench.studies.eps50 import halved
from microbench.studies.measure import Measuring, measure
from microbench.studies.provenance import provenance
from microbench.studies.rows import check_same_files, finish, flag_claim, past_runs, planned_rows
from microbench.studies.search import cost, searched
from microbench.studies.stages import Stages, at_once
from microbench.tasks import find_task
from reports.rows.results import RESULTS
from reports.study.summary import Study, study_of
from reports.study.worst import WORST

if TYPE_CHECKING:
    from microbench.commands.options import EvaluateOptions

LARGEST_EPS = 1e9
"""The largest budget: times the size of any unit it still is a number in single precision."""

MOST_EPISODES = 1_000_000
"""Episodes of one command, all cells together: days of work, and a plan that still fits into memory."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The rows of this evaluation, summed up; the files of results and report by name; and what its stages tell."""

    study: Study
    files: dict[str, Path]
    metadata: dict[str, Any]

    @property
    def frame(self) -> pd.DataFrame:
        """The rows in the order of the plan."""
        return self.study.frame


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
        if eps > LARGEST_EPS:
            raise UserError(f"--eps {eps:g} is beyond all measure; expected at most {LARGEST_EPS:g}.")
    for name in names:
        if not worst.is_worst(name):
            find_attack(name)
    return [Cell(attack=name, eps=eps) for name in names for eps in budgets]


def evaluate(cells: Sequence[Cell], options: "EvaluateOptions") -> Outcome:
    """Run the cells, write rows as they come, then the table and the plots.

    Episodes that results.csv holds already are measured again and replaced one chunk after the other, or, with
    `resume`, left as they are.

    Raises:
        ValueError: no such checkpoint, one of another task or without the unit, an option out of range, or files of an
            earlier evaluation that are damaged.
        OSError: the folder cannot be written.

    """
    _check_size(len(cells), options.episodes)
    if options.episodes < 1 or (options.workers is not None and options.workers < 1):
        raise UserError("--episodes and --workers must be at least 1.")
    checkpoint = opening.open_checkpoint(options.checkpoint, options.runs, options.policy.overrides(options.env))
    unit = units.unit_of(checkpoint, options.unit, needed=units.needs_unit(cells))
    norm, in_range = ball(options.norm)
    in_range = in_range or options.in_range
    conditions = Conditions(env_id=options.env or checkpoint.env_id, unit=unit, norm=norm, in_range=in_range)
    _check(checkpoint, conditions)
    task = find_task(conditions.env_id)
    cells = with_critics(each_sensor(task, cells), options.critic or (), checkpoint.target)
    cells, suite, stages = _stages(checkpoint, conditions, cells, options)
    critics = servable.judges(checkpoint, task, [*(cell.attack for cell in cells), *suite], quiet=options.quiet)
    changed = effects(task, cells)  # now, so that a part that the robot lacks is told at once
    _say_seeds(checkpoint, cells, options)
    opening.probe(checkpoint, conditions, options.seed, quiet=options.quiet)
    folder = opening.results_folder(checkpoint, options.out, options.runs)
    folder.mkdir(parents=True, exist_ok=True)
    past = past_runs(folder / RESULTS)
    servable.check_same_critics(past, critics)
    described = {
        "attacks": descriptions.of_attacks(task, [*(cell.attack for cell in cells), *suite]),
        "perturbations": descriptions.of_perturbations(cell.perturbation for cell in cells),
    }
    opening.check_same_named_files(past, {**described["attacks"], **described["perturbations"]})
    check_same_files(folder / RESULTS, cells)
    conditions = units.measured(checkpoint, conditions, asked=options.unit, past=past, quiet=options.quiet)
    about = _this_run(checkpoint, conditions, options) | described
    about |= {"effects": changed, "claim": options.claim, "critics": critics}
    keys, metadata = measure(stages, _how(checkpoint, conditions, folder / RESULTS, options), about)
    if options.claim is not None:
        flag_claim(folder / RESULTS, checkpoint, options.claim)
    frame = finish(folder / RESULTS, keys)
    beside = {"runs": past_runs(folder / RESULTS)}
    files = reports.write_report(frame[frame["checkpoint"] == checkpoint.sha256], folder / "report", beside)
    rows = study_of(planned_rows(frame, keys), beside)
    return Outcome(study=rows, files={RESULTS: folder / RESULTS} | files, metadata=metadata)


def _stages(
    checkpoint: Checkpoint, conditions: Conditions, cells: Sequence[Cell], options: "EvaluateOptions"
) -> tuple[list[Cell], list[str], Stages]:
    """The cells that this policy can serve, the suite of `worst`, and how all is measured.

    Raises UserError as `servable.check_attacks`.
    """
    task, named = find_task(conditions.env_id), {cell.attack for cell in cells}
    if options.search and WORST in named:
        raise UserError("--search chooses a point under each attack, so worst has no say; name one, as --attack pgd.")
    asked = [cell.attack for cell in cells if cell.attack not in ("none", WORST)]
    if options.skip_unservable:
        cells = servable.servable_cells(checkpoint, task, cells, quiet=options.quiet)
    servable.check_attacks(checkpoint, task, conditions, cells)
    suite: list[str] = []
    if WORST in named:
        able = servable.servable_suite(checkpoint, task, options.critic or (), named, quiet=options.quiet)
        suite = worst.suite_of(cells, able)
    missing = {name for name in asked if servable.lacking(checkpoint, task, name)}
    same = servable.repeated(checkpoint, task, [*(name for name in asked if name not in missing), *suite])
    servable.say_repeated(checkpoint, same, quiet=options.quiet)
    suite = [name for name in suite if same.get(name) not in suite]
    if options.search:
        under = [cell for cell in cells if cell.perturbation == "none"]
        _check_size((options.search.points + 2) * len(under), options.episodes)
        progress.say(cost(options.search, len(under), options.episodes), quiet=options.quiet)
        changed = functools.partial(effects, task)
        return list(cells), suite, searched(options.search, under, options.episodes, options.seed, changed)
    searches = sum(1 + len(suite) * (cell.attack == WORST) for cell in cells)
    _check_size(searches, options.episodes)

    def measured(some: Sequence[Cell]) -> Stages:
        if WORST in {cell.attack for cell in some}:
            return worst.worst_of(some, suite, options.episodes, options.seed)
        return at_once(plan_episodes(some, options.episodes, options.seed))

    if options.budgets is not None:
        return list(cells), suite, halved(cells, measured, options.budgets)
    return list(cells), suite, measured(cells)


def _how(checkpoint: Checkpoint, conditions: Conditions, results: Path, options: "EvaluateOptions") -> Measuring:
    return Measuring(
        checkpoint=checkpoint,
        conditions=conditions,
        results=results,
        workers=options.workers,
        ray=options.ray,
        resume=options.resume,
        quiet=options.quiet,
    )


def _check(checkpoint: Checkpoint, conditions: Conditions) -> None:
    """Raise UserError for what would only be noticed when the first chunk runs."""
    check_task(checkpoint, find_task(conditions.env_id))
    if conditions.in_range and checkpoint.target.obs_bounds is None:
        way = "train it again" if checkpoint.family == OWN else "give the dataset with --obs-stats FILE.hdf5"
        raise UserError(
            f"{checkpoint.path} does not say the range of its dataset's observations: {way}, or leave --in-range out."
        )


def _say_seeds(checkpoint: Checkpoint, cells: Sequence[Cell], options: "EvaluateOptions") -> None:
    """Tell which of these episodes serve something else as well: what was fitted or chosen on them looks too good."""
    episodes = options.episodes * (2 if WORST in {cell.attack for cell in cells} else 1)  # the fresh ones of worst
    for use in met(options.seed, episodes, trained_here=checkpoint.family == OWN):
        progress.say(
            f"some of the episodes from --seed {options.seed} on are {use}; take another, as the first ones from 0.",
            quiet=options.quiet,
        )


def _check_size(cells: int, episodes: int) -> None:
    """Raise UserError for more episodes than one command is for."""
    if cells * episodes > MOST_EPISODES:
        raise UserError(
            f"{cells:,} cells of {episodes:,} episodes are {cells * episodes:,} episodes, more than the "
            f"{MOST_EPISODES:,} of one command; ask for fewer --episodes or conditions, or several commands with one "
            f"--out."
        )


def _this_run(checkpoint: Checkpoint, conditions: Conditions, options: "EvaluateOptions") -> dict[str, Any]:
    """How these rows were made; the policy is named as it was typed, or as it was found below the folder of runs."""
    command = ["microbench", *sys.argv[1:]]  # not the script's own path, which is the machine's
    policy = options.checkpoint or Path(options.runs, *checkpoint.path.parts[-2:])
    return {
        "command": command,
        **provenance(),
        "conditions": {"env_id": conditions.env_id, "unit": conditions.unit, "norm": conditions.norm_column},
        **units.record(checkpoint, conditions),
        "checkpoint": checkpoint.sha256,
        "checkpoint_path": str(policy),
        "inferred": checkpoint.inferred,
    }
