"""Commands that only tell: report, inspect and list."""

from pathlib import Path
from typing import Annotated, Any

import typer

from microbench.cli.options import Activation, Checkpoint, Env, Family, MaxAction, ObsStats, Runs, Squash


def report(
    results: Annotated[list[Path], typer.Argument(help="results.csv files or run folders, reported together.")],
    out: Annotated[Path, typer.Option(help="Folder for the table and the plots.")] = Path("report"),
) -> None:
    """Make the table and the plots from results files alone."""
    import reports

    frame = reports.load_many(path / "results.csv" if path.is_dir() else path for path in results)
    files = reports.write_report(frame, out)
    typer.echo(reports.markdown(frame))
    typer.echo("\n".join(f"{name}: {path}" for name, path in files.items()))


def inspect(
    checkpoint: Checkpoint = None,
    env: Env = None,
    runs: Runs = Path("runs"),
    family: Family = None,
    activation: Activation = None,
    squash: Squash = None,
    max_action: MaxAction = None,
    obs_stats: ObsStats = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, the units' numbers too.")] = False,
) -> None:
    """Say what a policy file holds, what had to be inferred and how, and what can attack it."""
    from microbench.checkpoints import Overrides
    from microbench.commands import inspect as command

    said = Overrides(
        family=family, activation=activation, squash=squash, max_action=max_action, obs_stats=obs_stats, env_id=env
    )
    typer.echo(command.inspect(checkpoint, runs, said, as_json=as_json))


def list_names() -> None:
    """List attacks, perturbations, algorithms and tasks."""
    import attacks
    import perturbations
    from microbench.algorithms import ALGORITHMS
    from microbench.checkpoints import FAMILIES
    from microbench.tasks import TASKS

    tables: dict[str, Any] = {
        "attacks": attacks.ATTACKS,
        "perturbations": perturbations.PERTURBATIONS,
        "algorithms": ALGORITHMS,
        "families": FAMILIES,
        "tasks": TASKS,
    }
    for title, names in tables.items():
        typer.echo(f"{title}: {', '.join(names)}")
