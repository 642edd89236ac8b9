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
"""Environment steps of `microbench collect`: all of them are kept in memory."""


@dataclass(frozen=True, kw_only=True)
class TrainArguments:
    """The options of `train` as they were typed."""

    dataset: Annotated[
        str | None,
        typer.Option(help="Name of a bundled dataset, or path of a D4RL hdf5 file; the bundled one if left out."),
    ] = None
    algorithm: Annotated[
        str | None, typer.Option(help="micro (if left out), or sac (no conservatism: the control).")
    ] = None
    seed: Annotated[
        int | None, typer.Option(min=0, max=MOST_SEED, help="Decides weights, batches, noise and rollouts; else 0.")
    ] = None
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Several seeds, each with a folder of its own: 0,1,2,3. On CPUs one core each, on a GPU stacked."
        ),
    ] = None
    preset: Annotated[
        str | None, typer.Option(help="quick (minutes; if left out), or paper (the reference schedule: days).")
    ] = None
    steps: Annotated[int | None, typer.Option(min=1, help="Updates, in whole epochs, in place of the preset's.")] = None
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (if left out).")] = None
    graph: Annotated[
        bool | None, typer.Option(help="On a GPU, launch every update as one CUDA graph; so it is if left out.")
    ] = None
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads, dealt out to --seeds; they decide the last bits. Preset quick has 1 per seed.",
        ),
    ] = None
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs")
    env: Env = None
    rows: Annotated[str | None, typer.Option(help="How rows become transitions: reference, qlearning or strict.")] = (
        None
    )
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, any hyperparameter.")] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run, as it was started; nothing else is needed.")
    ] = False
    force: Annotated[
        bool, typer.Option("--force", help="Start over; the older policy stays until there is a new one.")
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
            help="Episodes of the policy, run for the fit (100 if left out); attacks are measured on others.",
        ),
    ] = None
    dataset: Annotated[
        str | None, typer.Option(help="Fit to a dataset in place of such episodes (fqe only): a name, or a D4RL file.")
    ] = None
    noise: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            callback=finite,
            help="Size of the noise on actions, in half-widths of their box; repeat to alternate.",
        ),
    ] = None
    steps: Annotated[int, typer.Option(min=1, max=LARGEST_STEPS, help="Updates.")] = 10_000
    members: Annotated[int, typer.Option(min=1, max=100, help="Critics, of which the smallest value counts.")] = 2
    gamma: Annotated[float, typer.Option(min=0, max=1, callback=finite, help="Discount per step.")] = 0.99
    radius: Annotated[
        float | None,
        typer.Option(min=0, callback=finite, help="Ball of robust-sarsa, in half-widths of the action box."),
    ] = None
    weight: Annotated[float | None, typer.Option(min=0, callback=finite, help="Weight of robust-sarsa's penalty.")] = (
        None
    )
    seed: Annotated[int, typer.Option(min=0, max=LAST_CRITIC_SEED, help="Decides episodes, weights and batches.")] = 0
    out: Annotated[
        Path | None, typer.Option(help="The file to write; METHOD.safetensors in the folder of results if left out.")
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
    method: Annotated[str, typer.Option(help="sa-rl (pushes every sensor) or pa-ad (directs the action).")] = "sa-rl"
    steps: Annotated[int, typer.Option(min=1, max=LARGEST_STEPS, help="Environment steps, in whole updates.")] = (
        1_000_000
    )
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Decides weights, noise and episodes.")] = 0
    tries: Annotated[
        int, typer.Option(min=1, max=1000, help="Train so many, with other seeds and settings, and keep the strongest.")
    ] = 1
    unit: Unit = None
    norm: Norm = "linf"
    env: Env = None
    runs: Runs = Path("runs")
    out: Annotated[
        Path | None, typer.Option(help="The file to write; beside the policy or below --runs if left out.")
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False
    force: Annotated[bool, typer.Option("--force", help="Start over where there is one.")] = False
    quiet: Quiet = False
    policy: PolicyOptions = field(default_factory=PolicyOptions)
