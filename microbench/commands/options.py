"""The options of the commands: frozen records, each option written once with its type, default, range and help text.

`microbench.cli.records` expands a record into the parameters of a command. None stands for "not given".
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microbench.seeds import LARGEST

if TYPE_CHECKING:
    from microbench.checkpoints import Overrides

MOST_EPISODES = 100_000
MOST_WORKERS = 1024
MOST_STATES = 10_000
LARGEST_STEPS = 1_000_000_000
"""No machine does as many: a larger number is a typing error, refused before anything runs or is written."""


def finite(value: Any) -> Any:
    """The number or numbers of an option; typer.BadParameter for NaN and infinity, which a range lets through."""
    for number in value if isinstance(value, list) else [value]:
        if number is not None and not math.isfinite(number):
            raise typer.BadParameter(f"{number} is no finite number.")
    return value


Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        help="Run folder, policy file of any family, or module:callable; the newest run by default.",
        show_default=False,
    ),
]
Runs = Annotated[Path, typer.Option(help="Folder that holds the runs.")]
Env = Annotated[str | None, typer.Option(help="Gymnasium id of the task; by default the one the checkpoint names.")]
Unit = Annotated[
    str | None,
    typer.Option(
        help="Unit of eps: dataset-std, policy-norm, rollout-std, raw or range. By default the first of dataset-std "
        "and policy-norm that the policy has, else rollout-std, measured on its own clean episodes."
    ),
]
Norm = Annotated[str, typer.Option(help="linf or l2; linf,in-range is the same as --in-range.")]
InRange = Annotated[
    bool, typer.Option("--in-range", help="Keep attacked observations within the range of the dataset's.")
]
EvalSeed = Annotated[
    int, typer.Option("--seed", min=0, max=LARGEST, help="Seed of the first episode; each next episode adds 1.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print neither progress nor tables, only errors.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON in place of a table, even with --quiet.")
]


@dataclass(frozen=True, kw_only=True)
class PolicyOptions:
    """Settings that a policy file may not record; None means the file's own, else the family's default."""

    family: Annotated[
        str | None, typer.Option(help="Family of the file, in place of the one recognized from its content.")
    ] = None
    activation: Annotated[
        str | None, typer.Option(help="Hidden activation, if the file does not record it: relu, leaky_relu(0.2), …")
    ] = None
    squash: Annotated[
        str | None, typer.Option(help="How the output becomes an action: tanh, or none (clipped to the action box).")
    ] = None
    max_action: Annotated[
        float | None, typer.Option(max=1e6, help="Half-width of the action box of a squashed policy.")
    ] = None
    obs_stats: Annotated[
        Path | None,
        typer.Option(
            help="Source of the observations' mean and std: JSON, vecnormalize.pkl, a dataset (name or hdf5), or a run."
        ),
    ] = None

    def overrides(self, env_id: str | None) -> "Overrides":
        """These settings and the task, as the readers of policy files take them."""
        from microbench.checkpoints import Overrides

        return Overrides(**asdict(self), env_id=env_id)


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options that decide what a command prints, and when its exit code is 1."""

    fail_under: Annotated[
        float | None,
        typer.Option(
            callback=finite, help="Exit with 1 unless the lower end of every condition's interval reaches this score."
        ),
    ] = None
    quiet: Quiet = False
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """The options that `attack` and `perturb` share; the fields without an option are set by these commands."""

    checkpoint: Checkpoint = None
    unit: Unit = None
    norm: Norm = "linf"
    in_range: InRange = False
    env: Env = None
    episodes: Annotated[
        int, typer.Option(min=1, max=MOST_EPISODES, help="Episodes per cell; every cell has the same start states.")
    ] = 10
    seed: EvalSeed = 0
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_WORKERS, help="Processes, by default one per core; results do not depend on it."),
    ] = None
    ray: Annotated[str | None, typer.Option(help="Run on Ray: auto, local, or HOST:PORT of a cluster.")] = None
    runs: Runs = Path("runs")
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results.csv and report/; by default the run's own, or one below --runs."),
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Skip episodes that results.csv already holds.")] = False
    output: OutputOptions = field(default_factory=OutputOptions)
    policy: PolicyOptions = field(default_factory=PolicyOptions)
    claim: Annotated[
        float | None,
        typer.Option(
            callback=finite, help="Return that the policy is claimed to earn; rows are flagged if it earns another."
        ),
    ] = None
    critic: Annotated[
        list[str] | None,
        typer.Option(
            help="Critic that attacks use: a file of `microbench critic`, a policy file, or own; repeat for several."
        ),
    ] = None
    skip_unservable: bool = False  # leave out attacks that the policy cannot serve; False makes them errors
    budgets: int | None = None  # the most budgets that the search of eps50 measures; None: no such search
    search: Any = None  # the studies.search.Box whose worst point is searched (its import is heavy); None: no search

    @property
    def quiet(self) -> bool:
        """Whether neither progress nor remarks go to stderr."""
        return self.output.quiet


@dataclass(frozen=True, kw_only=True)
class CertifyOptions:
    """The options of `certify`."""

    checkpoint: Checkpoint = None
    eps: Annotated[list[float] | None, typer.Option(help="Budget in --unit; repeat for several.")] = None
    unit: Unit = None
    norm: Norm = "linf"
    in_range: InRange = False
    env: Env = None
    episodes: Annotated[int, typer.Option(min=1, max=1000, help="Clean episodes that give the states.")] = 3
    states: Annotated[
        int, typer.Option(min=1, max=MOST_STATES, help="States at most, evenly spaced over all steps.")
    ] = 200
    seed: EvalSeed = 0
    runs: Runs = Path("runs")
    out: Annotated[
        Path | None, typer.Option(help="Folder for certificates/; by default the run's own, or one below --runs.")
    ] = None
    quiet: Quiet = False
    as_json: AsJson = False
    policy: PolicyOptions = field(default_factory=PolicyOptions)


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """The options of `render`; `perturbation` is written `mass=1.5` or `friction=0.5,gravity=0.75`."""

    checkpoint: Checkpoint = None
    attack: Annotated[str | None, typer.Option(help="Name or module:name; needs --eps.")] = None
    eps: Annotated[float | None, typer.Option(help="Budget of --attack in --unit.")] = None
    perturbation: Annotated[str | None, typer.Option(help="NAME=FACTOR; several joined by commas act together.")] = None
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Evaluation seed of the episode.")] = 0
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_STEPS, help="Steps to show; the episodes themselves run to their end."),
    ] = None
    out: Annotated[Path | None, typer.Option(help="A .gif or .mp4 file; by default a GIF beside the policy.")] = None
    unit: Unit = None
    norm: Norm = "linf"
    env: Env = None
    runs: Runs = Path("runs")
