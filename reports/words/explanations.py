"""Explanations of flags and notes, read from docs/flags.md, their only source."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

PLACES = (Path(__file__).with_name("flags.md"), Path(__file__).parents[2] / "docs" / "flags.md")
"""Places of the document: beside this module in an installed package, in docs/ in a checkout."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A heading of the document (the name of a flag, or words of a note) and the paragraphs below it."""

    heading: str
    paragraphs: tuple[str, ...]


def of_flag(name: str) -> Explanation | None:
    """The explanation of a flag; None for a flag that the document does not have."""
    return next((explanation for explanation in explanations() if explanation.heading == f"`{name}`"), None)


def of_note(sentence: str) -> Explanation | None:
    """The explanation whose heading quotes this note; None without one. An … in a heading matches any text."""
    for explanation in explanations():
        parts = [part.strip() for part in explanation.heading.strip("“”").split("…")]
        if explanation.heading.startswith("“") and all(part in sentence for part in parts):
            return explanation
    return None


@functools.cache
def explanations() -> tuple[Explanation, ...]:
    """Every section of the document, in order; empty if the document is missing."""
    text = next((place.read_text("utf-8") for place in PLACES if place.exists()), "")
    sections = re.split(r"^### ", re.sub(r"^##? .*$", "", text, flags=re.M), flags=re.M)[1:]
    return tuple(_explanation(section) for section in sections)


def _explanation(section: str) -> Explanation:
    heading, _, body = section.partition("\n")
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", body))
    return Explanation(heading=heading.strip(), paragraphs=tuple(paragraph for paragraph in paragraphs if paragraph))
