"""Options that several commands share.

None stands for "not given", hence Optional-style unions.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from microbench.seeds import LARGEST

MOST_EPISODES = 100_000
MOST_WORKERS = 1024
LARGEST_STEPS = 1_000_000_000
"""More than any machine does: a number beyond is a slip, and is refused before anything runs or is written."""


def finite(value: Any) -> Any:
    """The number, or numbers, of an option unless one is NaN or infinite, which a range lets through."""
    for number in value if isinstance(value, list) else [value]:
        if number is not None and not math.isfinite(number):
            raise typer.BadParameter(f"{number} is no finite number.")
    return value


Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        help="Run folder, policy file of any family, or module:callable; the newest run if left out.",
        show_default=False,
    ),
]
Runs = Annotated[Path, typer.Option(help="Folder that holds the runs.")]
Env = Annotated[str | None, typer.Option(help="Gymnasium id of the task; the checkpoint's own if left out.")]
Unit = Annotated[
    str | None,
    typer.Option(
        help="What eps is measured in: dataset-std, policy-norm, rollout-std, raw or range; the first that the policy "
        "has of dataset-std and policy-norm if left out, else rollout-std, measured on its own clean episodes."
    ),
]
Norm = Annotated[str, typer.Option(help="linf or l2; linf,in-range is the same as --in-range.")]
InRange = Annotated[bool, typer.Option("--in-range", help="Show no observation beyond the range of the dataset's.")]
Episodes = Annotated[
    int, typer.Option(min=1, max=MOST_EPISODES, help="Episodes per cell; the same start states in every cell.")
]
EvalSeed = Annotated[
    int, typer.Option("--seed", min=0, max=LARGEST, help="Seed of the first episode; the next ones count upwards.")
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_WORKERS, help="Processes; one per core if left out. They decide no result."),
]
Ray = Annotated[str | None, typer.Option(help="Run on Ray: auto, local, or HOST:PORT of a cluster.")]
Folder = Annotated[
    Path | None,
    typer.Option(help="Folder for results.csv and report/; the run's own, or one below --runs, if left out."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Skip episodes that results.csv already holds.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no table; errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of a table, also if quiet.")]
Family = Annotated[str | None, typer.Option(help="Family of the file, in place of what its content says.")]
Activation = Annotated[
    str | None, typer.Option(help="Hidden activation, where the file does not say it: relu, leaky_relu(0.2), …")
]
Squash = Annotated[str | None, typer.Option(help="How the output becomes an action: tanh, or none (cut to the box).")]
MaxAction = Annotated[float | None, typer.Option(max=1e6, help="Half-width of the action box of a squashed policy.")]
ObsStats = Annotated[
    Path | None,
    typer.Option(help="Mean and std of observations: JSON, a vecnormalize.pkl, a dataset (name or hdf5), or a run."),
]


Claim = Annotated[
    float | None,
    typer.Option(callback=finite, help="Return the policy is said to earn; a different one is flagged."),
]
Critics = Annotated[
    list[str] | None,
    typer.Option(
        "--critic",
        help="Critic that attacks ask: a file of `microbench critic`, a policy file, or own; repeat for several.",
    ),
]
FailUnder = Annotated[
    float | None,
    typer.Option(
        callback=finite, help="Exit with 1 unless the lower end of every condition's interval reaches this score."
    ),
]


FAILED = 1  # what shells take for "no"; 2 is a mistake


def end(failed: Sequence[str]) -> None:
    """Tell the gates that failed, if any, and leave with their exit code."""
    for sentence in failed:
        typer.echo(f"microbench: {sentence}", err=True)
    if failed:
        raise typer.Exit(FAILED)
