"""The command that shows: render."""

from pathlib import Path
from typing import Annotated

import typer

from microbench.cli.options import LARGEST_STEPS, Checkpoint, Env, Norm, Runs, Unit
from microbench.seeds import LARGEST


def render(
    checkpoint: Checkpoint = None,
    attack: Annotated[str | None, typer.Option(help="Name or module:name; needs --eps.")] = None,
    eps: Annotated[float | None, typer.Option(help="Budget of --attack in --unit.")] = None,
    perturbation: Annotated[
        str | None, typer.Option(help="NAME=FACTOR; several joined by commas act together.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Evaluation seed of the episode.")] = 0,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_STEPS, help="Steps to show; the episodes run to their ends in any case."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .gif or .mp4 file; a GIF beside the policy if left out.")] = None,
    unit: Unit = None,
    norm: Norm = "linf",
    env: Env = None,
    runs: Runs = Path("runs"),
) -> None:
    """Show one episode side by side, untouched and under an adversary, as it was measured."""
    from microbench.commands import render as command

    options = command.RenderOptions(
        checkpoint=checkpoint,
        runs=runs,
        env=env,
        attack=attack,
        eps=eps,
        unit=unit,
        norm=norm,
        perturbation=perturbation,
        seed=seed,
        steps=steps,
        out=out,
    )
    typer.echo("\n".join(command.render(options)))
