"""Safe display of texts from files: control characters and direction marks are escaped, long texts are cut."""

from collections.abc import Iterable

LONGEST = 120
"""Maximum length of a name in tables and notes, in characters; figures have less space (`figures.labels`)."""

KEPT = "\n"
"""Characters that stay although they are not printable."""


def printable(text: str) -> str:
    r"""The text with escapes for unprintable characters: control characters, direction marks, lone surrogates.

    Line breaks stay. `\x1b` stands for the escape character, as in Python.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in KEPT else _written(sign) for sign in text)


def cut(text: str, most: int = LONGEST) -> str:
    """The text, cut to `most` characters with … in its middle if it is longer."""
    if len(text) <= most:
        return text
    behind = most // 3
    return f"{text[: most - behind - 1]}…{text[-behind:]}"


def shown(value: object, most: int = LONGEST) -> str:
    """The repr of a value for a sentence, printable and cut if long."""
    written = cut(value, 2 * most) if isinstance(value, str) else value  # repr of a text of megabytes would be slow
    try:
        return cut(printable(repr(written)), most)
    except (ValueError, RecursionError):  # an integer with too many digits, or deeply nested lists
        return f"a {type(value).__name__}"


def names(texts: Iterable[str], most: int = LONGEST) -> list[str]:
    """Distinct texts as distinct printable names; names that would look the same are numbered."""
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
