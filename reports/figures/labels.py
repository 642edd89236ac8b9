"""Names in figures: cut to the space of the axes, safe in legends, and limited in number."""

from collections.abc import Sequence
from typing import TypeVar

from matplotlib.figure import Figure

from reports.rows.printable import cut, printable

LONGEST = 48
"""Maximum length of a name in a figure, in characters."""

LONGEST_TITLE = 80
"""Maximum length of a line above a panel, in characters."""

Item = TypeVar("Item")


def label(text: str, most: int = LONGEST) -> str:
    """The name, cut in its middle if long. A name that begins with `_` gets a space: legends leave such names out."""
    short = cut(printable(text), most)
    return f" {short}" if short.startswith("_") else short


def first(items: Sequence[Item], most: int) -> list[Item]:
    """The first items, `most` of them, which are drawn."""
    return list(items)[:most]


def say(figure: Figure, *, of: int, shown: int, what: str) -> None:
    """Write above the figure how many of how many items it shows; nothing if it shows all."""
    if of > shown:
        figure.suptitle(f"{shown} of {of} {what} are drawn; table.csv has all", fontsize="small")
