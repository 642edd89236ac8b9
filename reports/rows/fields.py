"""Fields of a results file: the text is split into fields, and fields are converted to values exactly."""

import csv
import io
from collections.abc import Callable

import numpy as np
import pandas as pd

from reports.rows.printable import shown
from reports.rows.schema import SCHEMA

MAY_MISS = ("train_seed", "return", "score")
"""Columns in which an empty field is a missing value."""


def split(text: str) -> list[list[str]]:
    """The fields of every row; raises ValueError for damaged quoting."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(reader)
    except csv.Error as error:
        if "field limit" in str(error):
            raise ValueError(
                f"row {reader.line_num - 1}: a field is longer than {csv.field_size_limit()} characters; expected a "
                "table of results, so remove the row."
            ) from error
        raise ValueError(
            f"row {reader.line_num - 1}: the quoting of one column is damaged ({error}); remove the row and run "
            "the evaluation again."
        ) from error


def names_of(first_line: bytes) -> list[str]:
    """The names of columns in a header line, in order."""
    return split(first_line.decode("utf-8-sig"))[0]


def convert(texts: list[str], name: str) -> pd.Series:
    """One column of a file as values; an empty field of a column in `MAY_MISS` is missing.

    Raises:
        ValueError: a field of a numeric column is not a number; names row and column.
    """
    dtype = SCHEMA[name]
    if dtype == "str":
        return pd.Series(texts, dtype="object")
    number: Callable[[str], float] = float if dtype == "float64" else whole
    may_miss = name in MAY_MISS and "" in texts
    try:
        values = [number(text) if text or not may_miss else None for text in texts]
    except ValueError as error:
        row = next(row for row, text in enumerate(texts, 1) if not ((may_miss and not text) or _is(number, text)))
        wanted = "a number" if number is float else "a whole number"
        raise ValueError(f"row {row}, column {name!r}: {shown(texts[row - 1])} is not {wanted}.") from error
    try:
        return pd.Series(np.array(values, "float64") if number is float else values, dtype=dtype)
    except OverflowError:
        return pd.Series(values, dtype="object")  # `check` names the row that exceeds 64 bits


def whole(text: str) -> int:
    """The integer of a text. `3.0` is accepted: pandas writes it in columns with missing values.

    Raises:
        ValueError: the text is not an integer, or a float above 2**53, where floats skip integers.
    """
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer() or abs(number) > 2**53:
            raise ValueError(f"{shown(text)} is no whole number") from None
        return int(number)


def _is(number: Callable[[str], float], text: str) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True
