"""Fast parser of large results files: it returns the table of the exact parser, or None for the exact parser to try.

pandas splits a million rows in a second, but it accepts short rows, text after a closing quote, and 3.0 as an integer.
It therefore only splits here. Its table is accepted only if it accounts for every separator and quote of the file, row
by row. `fields` converts each distinct field. pandas converts return and score, which are nearly all distinct; its
floats are the nearest to their texts.
"""

import io
import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.errors import ParserWarning

from reports.rows.fields import convert, names_of
from reports.rows.schema import SCHEMA, check_names

MEASURED = ("return", "score")
"""Columns whose fields are nearly all distinct."""

FOREIGN = (b"\0", b"rue", b"RUE", b"alse", b"ALSE")
"""Bytes that pandas may misread: the end of a text, or True and False as numbers."""

PIECE = 1 << 24
"""Number of bytes checked at a time."""

# pandas 3.1 reads floats exactly by default and deprecates the option.
EXACTLY = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]


def table(content: bytes) -> pd.DataFrame | None:
    """The packed table of a file with unchecked values; None if only the exact parser can decide."""
    if not content.endswith(b"\n") or any(word in content for word in FOREIGN):
        return None
    try:
        names = names_of(content[: content.index(b"\n") + 1])
        check_names(names)
        frame = _split(content, names)
        if not _accounts_for(frame, content):
            return None
        empty = pd.Series("", frame.index, dtype="category")
        return pd.DataFrame({name: _values(frame[name], name) if name in names else empty for name in SCHEMA})
    except (ValueError, OverflowError, ParserWarning):
        return None


def _split(content: bytes, names: list[str]) -> pd.DataFrame:
    """The fields of the file: texts as categories, measured columns as floats."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ParserWarning)  # raised for rows that are too long
        frame: pd.DataFrame = pd.read_csv(
            io.BytesIO(content),
            header=None,
            names=names,
            skiprows=1,
            index_col=False,
            dtype={name: "float64" if name in MEASURED else object for name in names},
            keep_default_na=False,
            na_values={name: [""] for name in MEASURED},
            **EXACTLY,  # type: ignore[call-overload]  # the stubs describe the newest pandas only
        )
    for name in names:
        if name not in MEASURED:
            frame[name] = frame[name].astype("category")
    return frame


def _values(column: pd.Series, name: str) -> pd.Series:
    if name in MEASURED or SCHEMA[name] == "str":
        return column
    distinct = convert(column.cat.categories.to_list(), name)
    if str(distinct.dtype) != SCHEMA[name]:
        raise ValueError(f"column {name!r} has numbers beyond 64 bits.")
    return distinct.take(column.cat.codes.to_numpy()).reset_index(drop=True)


def _accounts_for(frame: pd.DataFrame, content: bytes) -> bool:
    """Whether each line has exactly the separators and quotes that its fields need."""
    texts = [frame[name].cat for name in frame.columns if name not in MEASURED]
    written = [list(text.categories) for text in texts]
    if any(sign in field for fields in written for field in fields for sign in '"\n\r'):
        return False
    commas, quotes = np.full((2, len(frame)), [[len(frame.columns) - 1], [0]], np.int64)
    for text, fields in zip(texts, written, strict=True):
        inside = np.array([field.count(",") for field in fields], np.int64)
        if inside.any():
            commas += inside[text.codes]
            quotes += 2 * (inside > 0)[text.codes]
    lines, returns = content.count(b"\n"), content.count(b"\r")
    plain = lines == len(frame) + 1 and (returns == 0 or returns == content.count(b"\r\n") == lines)
    return plain and all(_has(piece, commas, quotes) for piece, commas, quotes in _pieces(content, commas, quotes))


def _pieces(content: bytes, commas: Counts, quotes: Counts) -> Iterator[tuple[Bytes, Counts, Counts]]:
    """Pieces of the lines below the header as bytes, with the expected counts of each line."""
    start, row = content.index(b"\n") + 1, 0
    while start < len(content):
        end = content.rindex(b"\n", start, start + PIECE) + 1  # ValueError for a longer line
        rows = slice(row, row + content.count(b"\n", start, end))
        yield np.frombuffer(content, np.uint8, end - start, start), commas[rows], quotes[rows]
        start, row = end, rows.stop


def _has(piece: Bytes, commas: Counts, quotes: Counts) -> bool:
    """Whether each line has these counts of both signs, and every second quote ends a field."""
    starts = np.concatenate([[0], np.flatnonzero(piece == ord("\n"))[:-1] + 1])
    for sign, expected in ((b",", commas), (b'"', quotes)):
        if not np.array_equal(np.add.reduceat(piece == ord(sign), starts, dtype=np.int64), expected):
            return False
    behind = piece[np.flatnonzero(piece == ord('"'))[1::2] + 1]
    return bool(np.isin(behind, list(b",\r\n")).all())
