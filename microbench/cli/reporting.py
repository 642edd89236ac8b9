"""Commands that only tell: report, compare, inspect and list."""

from pathlib import Path
from typing import Annotated, Any

import typer

from microbench.cli.exits import FAILED, leave
from microbench.cli.records import expanded
from microbench.commands.options import AsJson, Checkpoint, Env, OutputOptions, PolicyOptions, Quiet, Runs


@expanded
def report(
    results: Annotated[list[Path], typer.Argument(help="results.csv files or run folders, reported together.")],
    out: Annotated[Path, typer.Option(help="Folder for the page, the table and the plots.")] = Path("report"),
    gates: Annotated[Path | None, typer.Option(help="TOML file of limits that the results must keep.")] = None,
    *,
    output: OutputOptions,
) -> None:
    """Make the page, the table and the plots from results files alone."""
    import reports
    from microbench.commands import report as command

    demanded = command.gates(gates, output.fail_under)
    made = command.report(results, out)
    failed = reports.failures(demanded, made.study)
    if output.as_json or not output.quiet:
        typer.echo(command.printed(made.study, made.files, failed, as_json=output.as_json))
    leave(failed)


def compare(
    a: Annotated[Path, typer.Argument(help="results.csv or run folder to compare with.")],
    b: Annotated[Path, typer.Argument(help="results.csv or run folder that may be better or worse.")],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compare B with A over common episodes; the exit code is 1 if B is significantly worse anywhere."""
    from microbench.commands import compare as command

    comparison = command.compare(a, b)
    if as_json or not quiet:
        typer.echo(command.printed(comparison, as_json=as_json))
    elif comparison.is_blind:  # silence would be read as "no loss"
        typer.echo("microbench: too few pairs of episodes for any loss to be significant.", err=True)
    if comparison.losses:
        raise typer.Exit(FAILED)


@expanded
def inspect(
    checkpoint: Checkpoint = None,
    env: Env = None,
    runs: Runs = Path("runs"),
    *,
    policy: PolicyOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, the units' numbers too.")] = False,
) -> None:
    """Say what a policy file holds, what had to be inferred and how, and what can attack it."""
    from microbench.commands import inspect as command

    typer.echo(command.inspect(checkpoint, runs, policy.overrides(env), as_json=as_json))


def list_names() -> None:
    """List attacks and what they need, perturbations, algorithms, critics, families and tasks."""
    import attacks
    import perturbations
    from microbench.checkpoints import FAMILIES
    from microbench.checkpoints.offers import needing
    from microbench.critics import METHODS
    from microbench.learning.algorithms import ALGORITHMS
    from microbench.tasks import TASKS
    from reports.study.worst import WORST

    tables: dict[str, Any] = {
        "attacks": [*attacks.ATTACKS, *attacks.REFERENCES, WORST],
        **{f"attacks that need {what}": names for what, names in needing().items()},
        "perturbations": perturbations.PERTURBATIONS,
        "algorithms": ALGORITHMS,
        "critics": METHODS,
        "families": FAMILIES,
        "tasks": TASKS,
    }
    for title, names in tables.items():
        typer.echo(f"{title}: {', '.join(names)}")
