"""Options that several commands share.

None stands for "not given", hence Optional-style unions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Checkpoint = Annotated[
    Path | None, typer.Argument(help="Run folder or policy file; the newest run if left out.", show_default=False)
]
Runs = Annotated[Path, typer.Option(help="Folder that holds the runs.")]
Env = Annotated[str | None, typer.Option(help="Gymnasium id of the task; the checkpoint's own if left out.")]
Unit = Annotated[str, typer.Option(help="What eps is measured in: dataset-std, policy-norm, raw or range.")]
Norm = Annotated[str, typer.Option(help="linf or l2.")]
Episodes = Annotated[int, typer.Option(min=1, help="Episodes per cell; the same start states in every cell.")]
EvalSeed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first episode; the next ones count upwards.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; one per core if left out. They decide no result.")]
Ray = Annotated[str | None, typer.Option(help="Run on Ray: auto, local, or HOST:PORT of a cluster.")]
Folder = Annotated[Path | None, typer.Option(help="Folder for results.csv and report/; the run's own if left out.")]
Resume = Annotated[bool, typer.Option("--resume", help="Skip episodes that results.csv already holds.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table; errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of a table, also if quiet.")]
FailUnder = Annotated[
    float | None,
    typer.Option(help="Exit with 1 unless the lower end of every condition's interval reaches this score."),
]

FAILED = 1  # what shells take for "no"; 2 is a mistake


def end(failed: Sequence[str]) -> None:
    """Tell the gates that failed, if any, and leave with their exit code."""
    for sentence in failed:
        typer.echo(f"microbench: {sentence}", err=True)
    if failed:
        raise typer.Exit(FAILED)
