"""The command that makes a video: render."""

import typer

from microbench.cli.records import expanded
from microbench.commands.options import RenderOptions


@expanded
def render(options: RenderOptions) -> None:
    """Make a video of one evaluated episode: clean on the left, attacked or perturbed on the right."""
    from microbench.commands import render as command

    typer.echo("\n".join(command.render(options)))
