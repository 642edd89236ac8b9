"""Exit codes of gates and comparisons."""

from collections.abc import Sequence

import typer

FAILED = 1
"""A gate or a comparison failed; 2 is a mistake of the user's."""


def leave(failures: Sequence[str]) -> None:
    """Print the sentences of the gates that failed to stderr and leave with `FAILED`; do nothing without one."""
    for sentence in failures:
        typer.echo(f"microbench: {sentence}", err=True)
    if failures:
        raise typer.Exit(FAILED)
