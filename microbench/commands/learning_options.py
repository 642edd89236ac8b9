"""The option records of the commands that learn: train, critic and adversary."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from microbench.commands.options import (
    LARGEST_STEPS,
    AsJson,
    Checkpoint,
    Env,
    InRange,
    Norm,
    PolicyOptions,
    Quiet,
    Runs,
    Unit,
    finite,
)
from microbench.seeds import LARGEST, LAST_CRITIC_SEED

MOST_SEED = 2**32 - 1
"""The largest seed of NumPy's and torch's generators together."""

MOST_COLLECTED = 10**7
"""Most environment steps of `microbench collect`, which keeps all of them in memory."""


@dataclass(frozen=True, kw_only=True)
class TrainArguments:
    """The options of `train` as typed."""

    dataset: Annotated[
        str | None,
        typer.Option(help="Name of a bundled dataset, or path of a D4RL hdf5 file; by default the bundled one."),
    ] = None
    algorithm: Annotated[
        str | None, typer.Option(help="micro (the default), or sac (no conservatism: the control).")
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_SEED, help="Seed of weights, batches, noise and rollouts; 0 by default."),
    ] = None
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Several seeds, as 0,1,2,3, each with a folder. On CPUs each has a core, on a GPU they are stacked."
        ),
    ] = None
    preset: Annotated[
        str | None, typer.Option(help="quick (the default: minutes), or paper (the reference schedule: days).")
    ] = None
    steps: Annotated[
        int | None, typer.Option(min=1, help="Updates, rounded up to whole epochs, in place of the preset's.")
    ] = None
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (the default).")] = None
    graph: Annotated[
        bool | None, typer.Option(help="On a GPU, launch every update as one CUDA graph (the default).")
    ] = None
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads, divided among --seeds; the last bits depend on them. Preset quick has 1 per seed.",
        ),
    ] = None
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs")
    env: Env = None
    rows: Annotated[str | None, typer.Option(help="How rows become transitions: reference, qlearning or strict.")] = (
        None
    )
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, any hyperparameter.")] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue an interrupted run with the options it was started with; no others are needed."
        ),
    ] = False
    force: Annotated[
        bool, typer.Option("--force", help="Start over; the older policy stays until the new one is written.")
    ] = False
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class CriticOptions:
    """The options of `critic`; None leaves the method's own setting."""

    checkpoint: Checkpoint = None
    method: Annotated[str, typer.Option(help="fqe or robust-sarsa.")] = "fqe"
    episodes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="Episodes of the policy to fit to (100 by default); attacks are measured on others.",
        ),
    ] = None
    dataset: Annotated[
        str | None, typer.Option(help="Fit to a dataset in place of episodes (fqe only): a name, or a D4RL file.")
    ] = None
    noise: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            callback=finite,
            help="Std of the noise on actions, in half-widths of the action box; repeat to alternate.",
        ),
    ] = None
    steps: Annotated[int, typer.Option(min=1, max=LARGEST_STEPS, help="Updates.")] = 10_000
    members: Annotated[int, typer.Option(min=1, max=100, help="Critics; their minimum is the value.")] = 2
    gamma: Annotated[float, typer.Option(min=0, max=1, callback=finite, help="Discount per step.")] = 0.99
    radius: Annotated[
        float | None,
        typer.Option(min=0, callback=finite, help="Ball of robust-sarsa, in half-widths of the action box."),
    ] = None
    weight: Annotated[float | None, typer.Option(min=0, callback=finite, help="Weight of robust-sarsa's penalty.")] = (
        None
    )
    seed: Annotated[int, typer.Option(min=0, max=LAST_CRITIC_SEED, help="Seed of episodes, weights and batches.")] = 0
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default METHOD.safetensors in the folder of results.")
    ] = None
    runs: Runs = Path("runs")
    env: Env = None
    policy: PolicyOptions = field(default_factory=PolicyOptions)
    quiet: Quiet = False
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class AdversaryOptions:
    """The options of `adversary`."""

    eps: Annotated[float, typer.Option(help="Budget in --unit.")]
    checkpoint: Checkpoint = None
    method: Annotated[
        str,
        typer.Option(
            help="sa-rl (a network that pushes every sensor), pa-ad (one that directs the action), evolved (a linear "
            "map of the observation, found by evolution) or constant (one offset per sensor, likewise)."
        ),
    ] = "sa-rl"
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST_STEPS,
            help="Environment steps, rounded up to whole updates; 1000000 by default, 2000000 for evolved.",
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Seed of weights, noise and episodes.")] = 0
    tries: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="Adversaries to train, with different seeds and settings; the strongest is kept."
        ),
    ] = 1
    sensors: Annotated[
        str | None,
        typer.Option(help="evolved and constant: perturb only these sensors, names, numbers or groups joined by +."),
    ] = None
    unit: Unit = None
    norm: Norm = "linf"
    in_range: InRange = False
    env: Env = None
    runs: Runs = Path("runs")
    out: Annotated[Path | None, typer.Option(help="File to write; by default beside the policy or below --runs.")] = (
        None
    )
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False
    force: Annotated[bool, typer.Option("--force", help="Start over even if the file exists.")] = False
    quiet: Quiet = False
    policy: PolicyOptions = field(default_factory=PolicyOptions)

    @property
    def named_sensors(self) -> tuple[str, ...]:
        """The only sensors that may be perturbed; empty for all."""
        return () if self.sensors is None else tuple(self.sensors.split("+"))
