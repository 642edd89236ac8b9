"""The text of a results file: CSV to a checked table and back."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from reports.schema import SCHEMA, check, check_names


def parse(content: bytes, path: Path) -> pd.DataFrame:
    """A checked table; every float64 comes back bit for bit.

    Raises:
        ValueError: the content is empty, cut off, foreign or damaged; the sentence names file, row and column.
    """
    try:
        return check(_parse(content))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def header(names: Sequence[str] = tuple(SCHEMA)) -> bytes:
    """The first line of a file."""
    return (",".join(names) + "\n").encode()


def lines(frame: pd.DataFrame, names: Sequence[str] = tuple(SCHEMA)) -> bytes:
    """The rows of a checked table, with the columns in this order."""
    # pandas writes repr(float64): the shortest text that reads back as the same 64 bits.
    return frame[list(names)].to_csv(index=False, header=False, lineterminator="\n").encode()


def names_of(first_line: bytes) -> list[str]:
    """The columns that a header names, in the file's order."""
    return _split(first_line.decode("utf-8-sig"))[0]


def _parse(content: bytes) -> pd.DataFrame:
    """Text columns as they stand, number columns converted; no opinion yet about their values."""
    if not content.strip():
        raise ValueError(f"the file is empty; expected a header with {len(SCHEMA)} columns and rows below it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}, byte {error.start} is not text; expected a CSV table of results.") from error
    names, *rows = _split(text)
    check_names(names)
    _check_lengths(names, rows)
    if not text.endswith("\n"):
        raise ValueError(
            f"row {len(rows)}, column {names[-1]!r}: the file ends inside this row; remove the row, or end "
            "it with a line break if it is complete."
        )
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    return pd.DataFrame({name: _convert(texts, name) for name, texts in zip(names, columns, strict=True)})


def _split(text: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(reader)
    except csv.Error as error:
        raise ValueError(
            f"row {reader.line_num - 1}: the quoting of one column is damaged ({error}); remove the row and run "
            "the evaluation again."
        ) from error


def _check_lengths(names: list[str], rows: list[list[str]]) -> None:
    for number, length in enumerate(map(len, rows), 1):
        if length != len(names):
            place = f"row {number}, column {names[min(max(length, 1), len(names)) - 1]!r}"
            raise ValueError(
                f"{place}: the row has {length} fields instead of {len(names)}, so it was cut off or "
                "damaged; remove it and run the evaluation again."
            )


def _convert(texts: list[str], name: str) -> pd.Series:
    """One column of a file; an empty field means "missing" where a value may be missing."""
    dtype = SCHEMA[name]
    if dtype == "str":
        return pd.Series(texts, dtype="object")
    number: Callable[[str], float] = float if dtype == "float64" else int
    may_miss = name in ("train_seed", "return", "score") and "" in texts
    try:
        values = [number(text) if text or not may_miss else None for text in texts]
    except ValueError as error:
        row = next(row for row, text in enumerate(texts, 1) if not ((may_miss and not text) or _is(number, text)))
        wanted = "a number" if number is float else "a whole number"
        raise ValueError(f"row {row}, column {name!r}: {texts[row - 1]!r} is not {wanted}.") from error
    try:
        return pd.Series(np.array(values, "float64") if number is float else values, dtype=dtype)
    except OverflowError:
        return pd.Series(values, dtype="object")  # the check of the table tells which row does not fit into 64 bits


def _is(number: Callable[[str], float], text: str) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True
