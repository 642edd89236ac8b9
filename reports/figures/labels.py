"""Names in figures: short enough for the axes, never taken for maths or left out of a legend, and no more than fit."""

from collections.abc import Sequence
from typing import TypeVar

from matplotlib.figure import Figure

from reports.rows.printable import cut, printable

LONGEST = 48
"""Characters of a name in a figure."""

LONGEST_TITLE = 80
"""Characters of a line above a panel, which holds a name and what is beside it."""

Shown = TypeVar("Shown")


def label(text: str, most: int = LONGEST) -> str:
    """The name, cut in its middle; one that begins with `_` gets a space, because legends leave such names out."""
    short = cut(printable(text), most)
    return f" {short}" if short.startswith("_") else short


def first(things: Sequence[Shown], most: int) -> list[Shown]:
    """As many as can be drawn."""
    return list(things)[:most]


def say(figure: Figure, *, of: int, shown: int, what: str) -> None:
    """Write above the figure that it does not show all of them, if it does not."""
    if of > shown:
        figure.suptitle(f"{shown} of {of} {what} are drawn; table.csv has all", fontsize="small")
