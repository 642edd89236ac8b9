"""Commands that learn: train and collect, and the datasets there are."""

from pathlib import Path
from typing import Annotated

import typer

from microbench.cli.records import expanded
from microbench.commands.learning_options import (
    MOST_COLLECTED,
    MOST_SEED,
    AdversaryOptions,
    CriticOptions,
    TrainArguments,
)
from microbench.commands.options import LARGEST_STEPS, Quiet, finite


@expanded
def train(typed: TrainArguments) -> None:
    """Train a policy on a logged dataset; with no options: MICRO on the dataset that ships with the package."""
    from microbench.commands import train as command
    from microbench.commands.resuming import resumed
    from microbench.commands.train_options import Asked, check, complete

    asked = Asked.parsed(typed)
    options = complete(asked, out=typed.out, resume=typed.resume, force=typed.force, quiet=typed.quiet)
    check(options)
    folders = command.train(resumed(asked, out=typed.out, quiet=typed.quiet) if typed.resume else options)
    if not typed.quiet:
        for folder in folders:
            typer.echo(f"policy: {folder.policy}\nlog:    {folder.path / 'log.csv'}")


@expanded
def critic(options: CriticOptions) -> None:
    """Fit a critic Q(s, a) to a policy, for attacks on policies that have none, and print how good it is."""
    from microbench.commands import critic as command

    path, origin = command.fit_critic(options)
    if options.as_json or not options.quiet:
        typer.echo(command.printed(path, origin, as_json=options.as_json))


@expanded
def adversary(options: AdversaryOptions) -> None:
    """Train an observation adversary against a policy and print the return under it."""
    from microbench.commands import adversary as command

    lines = command.adversary(options)
    if not options.quiet:
        typer.echo("\n".join(lines))


def collect(
    out: Annotated[Path, typer.Option(help="File to write: hdf5 in D4RL layout.")],
    env: Annotated[str, typer.Option(help="Gymnasium id of the task.")] = "Hopper-v4",
    steps: Annotated[int, typer.Option(min=1, max=MOST_COLLECTED, help="Most environment steps.")] = 200_000,
    until_score: Annotated[float | None, typer.Option(callback=finite, help="Stop at this normalized score.")] = None,
    evaluate_every: Annotated[
        int, typer.Option(min=1, max=LARGEST_STEPS, help="Environment steps between evaluations.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the whole run.")] = 0,
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
