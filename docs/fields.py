"""Docstrings list fields in two aligned columns, which Markdown would run together; the site shows them as a list."""

import re
from typing import Any

import griffe


class AlignedFields(griffe.Extension):
    """Rewrites every paragraph of aligned columns, whichever object it documents."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Replace the text of the docstring, if there is one."""
        if obj.docstring is not None:
            paragraphs = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(listed(paragraph) for paragraph in paragraphs)


def listed(paragraph: str) -> str:
    """The paragraph as a list of `field`: meaning, or as it was where its lines have no common second column."""
    lines = paragraph.splitlines()
    columns = [match.end(2) for line in lines if (match := re.match(r"^(\S+)(\s{2,})\S", line))]
    if not columns or lines[0][:1].isspace() or len(lines) < 2:
        return paragraph
    column = min(columns)
    if any(len(line) > column and line[column - 1] != " " for line in lines):
        return paragraph
    items: list[list[str]] = []
    for line in lines:
        name, meaning = line[:column].strip(), line[column:].strip()
        if name:
            items.append([f"- `{name}`: {meaning}"])
        elif items:
            items[-1].append(f"  {meaning}")
    return "\n".join(line for item in items for line in item)
