"""Conversion between the text of a results file (CSV) and a checked table."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from reports.rows import bulk
from reports.rows.fields import convert, split
from reports.rows.packing import packed, unpacked
from reports.rows.schema import OPTIONAL, SCHEMA, check, check_names, check_rows

ALWAYS = tuple(name for name in SCHEMA if name not in OPTIONAL)
"""The columns of every file."""


def parse(content: bytes, path: Path) -> pd.DataFrame:
    """The checked table of a file's content; every float64 is restored bit for bit.

    Raises:
        ValueError: the content is empty, truncated, damaged or not a results table; names file, row and column.
    """
    return unpacked(parse_packed(content, path))


def parse_packed(content: bytes, path: Path) -> pd.DataFrame:
    """The table of `parse`, packed; raises as `parse` does."""
    frame = bulk.table(content)
    try:
        if frame is not None:
            return check_rows(frame)
    except ValueError:
        pass  # the exact parser raises it again with the place
    try:
        return packed(check(_parse(content)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def header(names: Sequence[str] = ALWAYS) -> bytes:
    """The header line of a file."""
    return (",".join(names) + "\n").encode()


def columns_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of a file of these rows, in order, without optional columns that are empty in every row."""
    return tuple(name for name in SCHEMA if name not in OPTIONAL or (frame[name] != "").any())


def lines(frame: pd.DataFrame, names: Sequence[str] = ALWAYS) -> bytes:
    """The rows of a checked table as CSV lines, with columns in the order of `names`."""
    # pandas writes repr(float64): the shortest text that reads back as the same 64 bits.
    return frame[list(names)].to_csv(index=False, header=False, lineterminator="\n").encode()


def _parse(content: bytes) -> pd.DataFrame:
    """The unchecked table of a file: text columns unchanged, number columns converted."""
    if not content.strip():
        raise ValueError(f"the file is empty; expected a header with {len(SCHEMA)} columns and rows below it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}, byte {error.start} is not text; expected a CSV table of results.") from error
    names, *rows = split(text)
    check_names(names)
    _check_lengths(names, rows)
    if not text.endswith("\n"):
        raise ValueError(
            f"row {len(rows)}, column {names[-1]!r}: the file ends inside this row; remove the row, or end "
            "it with a line break if it is complete."
        )
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    return pd.DataFrame({name: convert(texts, name) for name, texts in zip(names, columns, strict=True)})


def _check_lengths(names: list[str], rows: list[list[str]]) -> None:
    for number, length in enumerate(map(len, rows), 1):
        if length != len(names):
            place = f"row {number}, column {names[min(max(length, 1), len(names)) - 1]!r}"
            raise ValueError(
                f"{place}: the row has {length} fields instead of {len(names)}, so it was cut off or "
                "damaged; remove it and run the evaluation again."
            )
