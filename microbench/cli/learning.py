"""Commands that learn: train and collect, and the datasets there are."""

from pathlib import Path
from typing import Annotated

import typer

from microbench.cli.options import (
    LARGEST_STEPS,
    Activation,
    AsJson,
    Checkpoint,
    Env,
    Family,
    InRange,
    MaxAction,
    Norm,
    ObsStats,
    Quiet,
    Runs,
    Squash,
    Unit,
    finite,
)
from microbench.seeds import LARGEST, LAST_CRITIC_SEED

MOST_SEED = 2**32 - 1
MOST_COLLECTED = 10**7  # all of them are kept in memory


def train(
    dataset: Annotated[
        str | None,
        typer.Option(help="Name of a bundled dataset, or path of a D4RL hdf5 file; the bundled one if left out."),
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="micro (if left out), or sac (no conservatism: the control).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=MOST_SEED, help="Decides weights, batches, noise and rollouts; else 0.")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Several seeds, each with a folder of its own: 0,1,2,3. On CPUs one core each, on a GPU stacked."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="quick (minutes; if left out), or paper (the reference schedule: days).")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Updates, in whole epochs, in place of the preset's.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto (if left out).")] = None,
    graph: Annotated[
        bool | None, typer.Option(help="On a GPU, launch every update as one CUDA graph; so it is if left out.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads, dealt out to --seeds; they decide the last bits. Preset quick has 1 per seed.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    env: Env = None,
    rows: Annotated[
        str | None, typer.Option(help="How rows become transitions: reference, qlearning or strict.")
    ] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE, any hyperparameter.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run, as it was started; nothing else is needed.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start over; the older policy stays until there is a new one.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a policy on a logged dataset; bare, MICRO on the dataset that ships with the package."""
    from microbench.commands import train as command
    from microbench.commands.resuming import resumed
    from microbench.commands.settings import parse_seeds, parse_settings
    from microbench.commands.train_options import Asked, check, complete
    from microbench.errors import UserError

    if seed is not None and seeds is not None:
        raise UserError(f"--seed {seed} and --seeds {seeds} both say which seeds to train; give one of the two.")
    asked = Asked(
        dataset=dataset or None,
        algorithm=algorithm,
        seeds=parse_seeds(seeds) if seeds is not None else None if seed is None else (seed,),
        preset=preset,
        steps=steps,
        device=device,
        graph=graph,
        threads=threads,
        env=env,
        rows=rows,
        settings=parse_settings(setting or []),
    )
    options = complete(asked, out=out, resume=resume, force=force, quiet=quiet)
    check(options)
    folders = command.train(resumed(asked, out=out, quiet=quiet) if resume else options)
    if not quiet:
        for folder in folders:
            typer.echo(f"policy: {folder.policy}\nlog:    {folder.path / 'log.csv'}")


def critic(
    checkpoint: Checkpoint = None,
    method: Annotated[str, typer.Option(help="fqe or robust-sarsa.")] = "fqe",
    episodes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="Episodes of the policy, run for the fit (100 if left out); attacks are measured on others.",
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Fit to a dataset in place of such episodes (fqe only): a name, or a D4RL file.")
    ] = None,
    noise: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            callback=finite,
            help="Size of the noise on actions, in half-widths of their box; repeat to alternate.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=LARGEST_STEPS, help="Updates.")] = 10_000,
    members: Annotated[int, typer.Option(min=1, max=100, help="Critics, of which the smallest value counts.")] = 2,
    gamma: Annotated[float, typer.Option(min=0, max=1, callback=finite, help="Discount per step.")] = 0.99,
    radius: Annotated[
        float | None,
        typer.Option(min=0, callback=finite, help="Ball of robust-sarsa, in half-widths of the action box."),
    ] = None,
    weight: Annotated[
        float | None, typer.Option(min=0, callback=finite, help="Weight of robust-sarsa's penalty.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LAST_CRITIC_SEED, help="Decides episodes, weights and batches.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; METHOD.safetensors in the folder of results if left out.")
    ] = None,
    runs: Runs = Path("runs"),
    env: Env = None,
    family: Family = None,
    activation: Activation = None,
    squash: Squash = None,
    max_action: MaxAction = None,
    obs_stats: ObsStats = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Fit a critic Q(s, a) to a policy, for attacks on policies that have none, and say how good it is."""
    from microbench.checkpoints import Overrides
    from microbench.commands import critic as command

    options = command.CriticOptions(
        checkpoint=checkpoint,
        runs=runs,
        method=method,
        episodes=episodes,
        dataset=dataset,
        noise=tuple(noise or ()),
        steps=steps,
        members=members,
        gamma=gamma,
        radius=radius,
        weight=weight,
        seed=seed,
        out=out,
        quiet=quiet,
        overrides=Overrides(
            family=family,
            activation=activation,
            squash=squash,
            max_action=max_action,
            obs_stats=obs_stats,
            env_id=env,
        ),
    )
    path, origin = command.fit_critic(options)
    if as_json or not quiet:
        typer.echo(command.printed(path, origin, as_json=as_json))


def adversary(
    eps: Annotated[float, typer.Option(help="Budget in --unit.")],
    checkpoint: Checkpoint = None,
    method: Annotated[
        str,
        typer.Option(
            help="sa-rl (a network that pushes every sensor), pa-ad (one that directs the action), evolved (a linear "
            "map of the observation, found by evolution) or constant (one offset per sensor, likewise)."
        ),
    ] = "sa-rl",
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST_STEPS,
            help="Environment steps, in whole updates; 1000000 if left out, 2000000 for evolved.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Decides weights, noise and episodes.")] = 0,
    tries: Annotated[
        int,
        typer.Option(min=1, max=1000, help="Train so many, with other seeds and settings, and keep the strongest."),
    ] = 1,
    sensors: Annotated[
        str | None,
        typer.Option(help="evolved and constant: push these sensors alone, names, numbers or groups joined by +."),
    ] = None,
    unit: Unit = None,
    norm: Norm = "linf",
    in_range: InRange = False,
    env: Env = None,
    runs: Runs = Path("runs"),
    out: Annotated[
        Path | None, typer.Option(help="The file to write; beside the policy or below --runs if left out.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over where there is one.")] = False,
    quiet: Quiet = False,
    family: Family = None,
    activation: Activation = None,
    squash: Squash = None,
    max_action: MaxAction = None,
    obs_stats: ObsStats = None,
) -> None:
    """Train an observation adversary against a policy and say what it forces."""
    from microbench.checkpoints import Overrides
    from microbench.commands import adversary as command

    told = command.adversary(
        command.AdversaryOptions(
            checkpoint=checkpoint,
            runs=runs,
            eps=eps,
            method=method,
            steps=steps,
            seed=seed,
            tries=tries,
            env=env,
            unit=unit,
            norm=f"{norm},in-range" if in_range and "," not in norm else norm,
            out=out,
            resume=resume,
            force=force,
            quiet=quiet,
            sensors=() if sensors is None else tuple(sensors.split("+")),
            overrides=Overrides(
                family=family, activation=activation, squash=squash, max_action=max_action, obs_stats=obs_stats
            ),
        )
    )
    if not quiet:
        typer.echo("\n".join(told))


def collect(
    out: Annotated[Path, typer.Option(help="The hdf5 file to write, in D4RL layout.")],
    env: Annotated[str, typer.Option(help="Gymnasium id of the task.")] = "Hopper-v4",
    steps: Annotated[int, typer.Option(min=1, max=MOST_COLLECTED, help="Environment steps at most.")] = 200_000,
    until_score: Annotated[float | None, typer.Option(callback=finite, help="Stop at this normalized score.")] = None,
    evaluate_every: Annotated[
        int, typer.Option(min=1, max=LARGEST_STEPS, help="Environment steps between evaluations.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Decides the whole run.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Train SAC online from scratch and write its replay buffer as a dataset (locally generated)."""
    from microbench.commands import collect as command

    command.collect_dataset(
        env_id=env,
        out=out,
        steps=steps,
        until_score=until_score,
        evaluate_every=evaluate_every,
        seed=seed,
        quiet=quiet,
    )
    if not quiet:
        typer.echo(f"dataset: {out}")


def datasets() -> None:
    """List the datasets that ship with the package."""
    from microbench.data.sources import BUNDLED

    for name, bundled in BUNDLED.items():
        typer.echo(f"{name}: {bundled.env_id}, {bundled.about}")
