"""Commands that evaluate a policy: attack and perturb."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from microbench.cli.options import (
    Activation,
    AsJson,
    Checkpoint,
    Claim,
    Critics,
    Env,
    Episodes,
    EvalSeed,
    FailUnder,
    Family,
    Folder,
    InRange,
    MaxAction,
    Norm,
    ObsStats,
    Quiet,
    Ray,
    Resume,
    Runs,
    Squash,
    Unit,
    Workers,
    end,
)
from microbench.errors import UserError

MOST_POINTS = 10_000
"""Points of a sample; a sweep has the same bound (`microbench.studies.sweeps`)."""

if TYPE_CHECKING:
    from microbench.commands.evaluate import EvaluateOptions
    from microbench.evaluation.plan import Cell


def attack(
    checkpoint: Checkpoint = None,
    eps: Annotated[list[float] | None, typer.Option(help="Budget in --unit; repeat for several.")] = None,
    eps50: Annotated[
        bool, typer.Option("--eps50", help="Find the budget that halves the score; of worst, if no --attack is given.")
    ] = False,
    budgets: Annotated[
        int | None, typer.Option(min=2, max=100, help="With --eps50: measure at most so many budgets; 12 if left out.")
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME, NAME(setting=value), NAME@SENSOR, module:name, or worst; the usual ones and worst if left out."
        ),
    ] = None,
    unit: Unit = None,
    norm: Norm = "linf",
    in_range: InRange = False,
    env: Env = None,
    episodes: Episodes = 10,
    seed: EvalSeed = 0,
    workers: Workers = None,
    ray: Ray = None,
    runs: Runs = Path("runs"),
    out: Folder = None,
    resume: Resume = False,
    fail_under: FailUnder = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    family: Family = None,
    activation: Activation = None,
    squash: Squash = None,
    max_action: MaxAction = None,
    obs_stats: ObsStats = None,
    claim: Claim = None,
    critic: Critics = None,
) -> None:
    """Attack what a policy observes and print the robustness table."""
    from attacks import BARE
    from microbench.checkpoints import Overrides
    from microbench.commands import evaluate as command
    from microbench.evaluation.plan import CLEAN
    from microbench.studies.eps50 import FIRST, MOST
    from reports.study.worst import WORST

    if not (eps or eps50):
        raise UserError(
            "there is no budget; give --eps, for example --eps 0.1, or --eps50 to find the one that halves."
        )
    if eps50 and fail_under is not None:
        raise UserError("--eps50 tries budgets until the score has halved, so --fail-under says nothing: give one.")
    if budgets and not eps50:
        raise UserError("--budgets bounds the search of --eps50: give both, or leave it out.")
    if eps50 and 0 in (eps or []):
        raise UserError("--eps50 doubles the budget it starts from, so --eps 0 leads nowhere; give a larger one.")
    names = attack or ([WORST] if eps50 else [*BARE, WORST])
    cells = [CLEAN, *command.attack_cells(names, eps or [FIRST])]
    options = command.EvaluateOptions(
        checkpoint=checkpoint,
        runs=runs,
        env=env,
        unit=unit,
        norm=_ball(norm, in_range),
        episodes=episodes,
        seed=seed,
        workers=workers,
        ray=ray,
        out=out,
        resume=resume,
        quiet=quiet,
        overrides=Overrides(
            family=family, activation=activation, squash=squash, max_action=max_action, obs_stats=obs_stats
        ),
        claim=claim,
        skip_unservable=attack is None,
        critics=tuple(critic or ()),
        budgets=(budgets or MOST) if eps50 else None,
    )
    _evaluate(cells, options, fail_under, as_json)


def perturb(
    checkpoint: Checkpoint = None,
    mass: Annotated[str | None, typer.Option(help="Factors: LOW:HIGH:COUNT, or a list 0.8,1,1.2.")] = None,
    friction: Annotated[str | None, typer.Option(help="Factors, as for --mass.")] = None,
    perturbation: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FACTORS or NAME@PART=FACTORS; several joined by commas act together."),
    ] = None,
    grid: Annotated[bool, typer.Option("--grid", help="All combinations of all the factors given.")] = False,
    samples: Annotated[
        int | None, typer.Option(min=1, max=MOST_POINTS, help="Draw so many points from the ranges LOW:HIGH given.")
    ] = None,
    sampling: Annotated[str, typer.Option(help="How to draw: latin-hypercube or uniform.")] = "latin-hypercube",
    attack: Annotated[list[str] | None, typer.Option(help="Attack every cell as well; needs --eps.")] = None,
    eps: Annotated[list[float] | None, typer.Option(help="Budget of --attack in --unit; repeat for several.")] = None,
    unit: Unit = None,
    norm: Norm = "linf",
    in_range: InRange = False,
    env: Env = None,
    episodes: Episodes = 10,
    seed: EvalSeed = 0,
    workers: Workers = None,
    ray: Ray = None,
    runs: Runs = Path("runs"),
    out: Folder = None,
    resume: Resume = False,
    fail_under: FailUnder = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
    family: Family = None,
    activation: Activation = None,
    squash: Squash = None,
    max_action: MaxAction = None,
    obs_stats: ObsStats = None,
    claim: Claim = None,
    critic: Critics = None,
) -> None:
    """Change the world and print the robustness table; bare, mass and friction from 0.5 to 1.5."""
    from microbench.checkpoints import Overrides
    from microbench.commands import evaluate as command
    from microbench.studies import sweeps

    named = [f"{name}={factors}" for name, factors in (("mass", mass), ("friction", friction)) if factors]
    given = [*named, *(perturbation or [])] or (sweeps.BARE_RANGES if samples else sweeps.BARE)
    if grid and samples:
        raise UserError("--grid takes all combinations of factors, --samples draws from ranges: give one of the two.")
    axes = [sweeps.parse_sweep(text) for text in given]
    perturbed = sweeps.sampled(axes, samples, sampling, seed) if samples else sweeps.swept(axes, grid=grid)
    cells = sweeps.crossed(perturbed, command.attack_cells(attack or [], eps or []))
    options = command.EvaluateOptions(
        checkpoint=checkpoint,
        runs=runs,
        env=env,
        unit=unit,
        norm=_ball(norm, in_range),
        episodes=episodes,
        seed=seed,
        workers=workers,
        ray=ray,
        out=out,
        resume=resume,
        quiet=quiet,
        overrides=Overrides(
            family=family, activation=activation, squash=squash, max_action=max_action, obs_stats=obs_stats
        ),
        claim=claim,
        skip_unservable=attack is None,
        critics=tuple(critic or ()),
    )
    _evaluate(cells, options, fail_under, as_json)


def _ball(norm: str, in_range: bool) -> str:
    """The norm as results tell it."""
    return f"{norm},in-range" if in_range and "," not in norm else norm


def _evaluate(cells: "list[Cell]", options: "EvaluateOptions", limit: float | None, as_json: bool) -> None:
    import reports
    from microbench.commands import evaluate as command
    from microbench.commands.report import gates, printed

    outcome = command.evaluate(cells, options)
    failed = reports.failures(gates(None, limit), outcome.study)
    if as_json or not options.quiet:
        found = outcome.told.get("eps50", ())
        typer.echo(printed(outcome.study, outcome.files, failed, as_json=as_json, eps50=found))
    end(failed)
