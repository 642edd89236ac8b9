"""Commands that evaluate nothing: report, compare, inspect and list."""

from pathlib import Path
from typing import Annotated, Any

import typer

from microbench.cli.exits import FAILED, leave
from microbench.cli.records import expanded
from microbench.commands.options import AsJson, Checkpoint, Env, OutputOptions, PolicyOptions, Quiet, Runs


@expanded
def report(
    results: Annotated[list[Path], typer.Argument(help="results.csv files or run folders, for one report.")],
    out: Annotated[Path, typer.Option(help="Folder to write page, table and plots to.")] = Path("report"),
    gates: Annotated[
        Path | None, typer.Option(help="TOML file of limits; the exit code is 1 if the results break one.")
    ] = None,
    *,
    output: OutputOptions,
) -> None:
    """Write page, table and plots of results files; nothing is evaluated."""
    import reports
    from microbench.commands import report as command

    limits = command.gates(gates, output.fail_under)
    written = command.report(results, out)
    failed = reports.failures(limits, written.study)
    if output.as_json or not output.quiet:
        typer.echo(command.printed(written.study, written.files, failed, as_json=output.as_json))
    leave(failed)


def compare(
    a: Annotated[Path, typer.Argument(help="results.csv or run folder of the reference.")],
    b: Annotated[Path, typer.Argument(help="results.csv or run folder to be compared with A.")],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compare B with A over common episodes; the exit code is 1 if B is significantly worse anywhere."""
    from microbench.commands import compare as command

    comparison = command.compare(a, b)
    if as_json or not quiet:
        typer.echo(command.printed(comparison, as_json=as_json))
    elif comparison.is_blind:  # printing nothing would look like "no loss"
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
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, with the numbers of the units.")
    ] = False,
) -> None:
    """Print the content of a policy file, what was inferred about it and how, and which attacks it can serve."""
    from microbench.commands import inspect as command

    typer.echo(command.inspect(checkpoint, runs, policy.overrides(env), as_json=as_json))


def list_names() -> None:
    """List attacks and their requirements, perturbations, algorithms, critics, families and tasks."""
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
