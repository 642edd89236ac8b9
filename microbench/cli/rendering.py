"""The command that shows: render."""

import typer

from microbench.cli.records import expanded
from microbench.commands.options import RenderOptions


@expanded
def render(options: RenderOptions) -> None:
    """Show one episode side by side, untouched and under an adversary, as it was measured."""
    from microbench.commands import render as command

    typer.echo("\n".join(command.render(options)))
