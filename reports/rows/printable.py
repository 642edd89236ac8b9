"""Texts from files made fit to be shown: no control characters, no reordering, no more than anybody reads."""

from collections.abc import Iterable

LONGEST = 120
"""Characters of a name in tables, notes and sentences; figures have less room (`figures.labels`)."""

KEPT = "\n"
"""What a text of several lines keeps of the characters that are not printed."""


def printable(text: str) -> str:
    r"""The text with every character that is not printed (escapes, direction marks, lone surrogates) written out.

    Line breaks stay. `\x1b` stands for the escape character, as in Python.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in KEPT else _written(sign) for sign in text)


def cut(text: str, most: int = LONGEST) -> str:
    """The text itself, or its beginning and its end with … between them, `most` characters in all."""
    if len(text) <= most:
        return text
    behind = most // 3
    return f"{text[: most - behind - 1]}…{text[-behind:]}"


def shown(value: object, most: int = LONGEST) -> str:
    """A value in a sentence: as Python writes it, and not longer than anybody reads."""
    written = cut(value, 2 * most) if isinstance(value, str) else value  # a text of megabytes is not written out first
    try:
        return cut(printable(repr(written)), most)
    except (ValueError, RecursionError):  # a whole number of too many digits, or lists within lists
        return f"a {type(value).__name__}"


def names(texts: Iterable[str], most: int = LONGEST) -> list[str]:
    """Distinct texts made fit to be shown, and still distinct: what would look the same is numbered."""
    taken: dict[str, int] = {}
    fit = []
    for text in texts:
        name = cut(printable(text).replace("\n", "\\n"), most)
        taken[name] = taken.get(name, 0) + 1
        number = taken[name]
        while number > 1 and f"{name} ({number})" in taken:
            number += 1
        name = f"{name} ({number})" if number > 1 else name
        taken.setdefault(name, 1)
        fit.append(name)
    return fit


def _written(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")
