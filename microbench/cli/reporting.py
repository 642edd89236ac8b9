"""Commands that only tell: report and list."""

from pathlib import Path
from typing import Annotated, Any

import typer


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


def list_names() -> None:
    """List attacks, perturbations, algorithms and tasks."""
    import attacks
    import perturbations
    from microbench.algorithms import ALGORITHMS
    from microbench.tasks import TASKS

    tables: dict[str, Any] = {
        "attacks": attacks.ATTACKS,
        "perturbations": perturbations.PERTURBATIONS,
        "algorithms": ALGORITHMS,
        "tasks": TASKS,
    }
    for title, names in tables.items():
        typer.echo(f"{title}: {', '.join(names)}")
