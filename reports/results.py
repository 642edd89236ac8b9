"""The results table on disk: read, write, append, and nothing lost or doubled on the way."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from reports import files
from reports.schema import KEY, SCHEMA, check, check_names

__all__ = ["KEY", "SCHEMA", "append", "check", "load_many", "read", "write"]


def read(path: Path | str) -> pd.DataFrame:
    """A checked table from a CSV file; every float64 comes back bit for bit.

    Raises:
        ValueError: the file is empty, cut off, foreign or damaged; the sentence names file, row and column.
        OSError: the file cannot be opened.
    """
    path = Path(path)
    try:
        return check(_parse(path.read_bytes()))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def load_many(paths: Iterable[Path | str]) -> pd.DataFrame:
    """One table from several files; an episode found in two of them with one outcome counts once.

    Raises:
        ValueError: no paths, a damaged file, or two files that disagree about the same episode.
    """
    frames = [read(path) for path in paths]
    if not frames:
        raise ValueError("no results files were given; name at least one results.csv.")
    together = pd.concat(frames, ignore_index=True).drop_duplicates(ignore_index=True)
    again = together.duplicated(list(KEY)).to_numpy()
    if again.any():
        row = together.iloc[int(np.argmax(again))]
        raise ValueError(
            f"the results files disagree about episode {row['episode']} (eval_seed {row['eval_seed']}) of "
            f"{row['algorithm']} under attack {row['attack']} and perturbation {row['perturbation']}: one "
            "episode must have one return, so find out which file is wrong before reporting them together."
        )
    return together


def write(frame: pd.DataFrame, path: Path | str, sidecar: Mapping[str, object]) -> None:
    """Write the table to `path` and what produced it to `<stem>.json` beside it, each whole or not at all.

    `sidecar` holds versions, config, command line and wall time. Raises ValueError as `check` does.
    """
    path = Path(path)
    table = _header() + _lines(check(frame))
    try:
        about = json.dumps(dict(sidecar), indent=2, default=str, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"the sidecar of {path} is not JSON ({error}); use plain, finite values.") from error
    files.replace(path.with_suffix(".json"), about.encode())
    files.replace(path, table)


def append(frame: pd.DataFrame, path: Path | str) -> int:
    """Add the rows whose episode `path` does not hold yet and return how many those were.

    The file is made when missing. Old bytes are copied, not formatted again, and the longer file is renamed
    into place. That costs O(file) per call; in return there is never a cut-off line to recover, and a reader
    sees all of a chunk or nothing of it. An episode that is there stays as it is. If somebody else wrote in
    between, the file's stamp tells and the rows are added to the newer version.
    Raises ValueError as `check` and `read` do.
    """
    path, new = Path(path), check(frame)
    while True:
        stamp = _stamp(path)
        old = path.read_bytes() if stamp else _header()
        known = read(path) if stamp else new.iloc[:0]
        keys = pd.concat([known, new], ignore_index=True)
        fresh = new[~keys.duplicated(list(KEY)).to_numpy()[len(known) :]]
        if stamp == _stamp(path):
            break
    if len(fresh) or not stamp:
        files.replace(path, old + _lines(fresh))
    return len(fresh)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    if not path.exists():
        return None
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _header() -> bytes:
    return (",".join(SCHEMA) + "\n").encode()


def _lines(frame: pd.DataFrame) -> bytes:
    # pandas writes repr(float64): the shortest text that reads back as the same 64 bits.
    return frame.to_csv(index=False, header=False, lineterminator="\n").encode()


def _parse(content: bytes) -> pd.DataFrame:
    """Text columns as they stand, number columns converted; no opinion yet about their values."""
    if not content.strip():
        raise ValueError(f"the file is empty; expected a header with {len(SCHEMA)} columns and rows below it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}, byte {error.start} is not text; expected a CSV table of results.") from error
    header, *rows = _split(text)
    check_names(header)
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            place = f"row {number}, column {header[min(max(len(row), 1), len(header)) - 1]!r}"
            raise ValueError(
                f"{place}: the row has {len(row)} fields instead of {len(header)}, so it was cut off or "
                "damaged; remove it and run the evaluation again."
            )
    if not text.endswith("\n"):
        raise ValueError(
            f"row {len(rows)}, column {header[-1]!r}: the file ends inside this row; remove the row, or end "
            "it with a line break if it is complete."
        )
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in header]
    return pd.DataFrame({name: _convert(texts, name) for name, texts in zip(header, columns, strict=True)})


def _split(text: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(reader)
    except csv.Error as error:
        raise ValueError(
            f"row {reader.line_num - 1}: the quoting of one column is damaged ({error}); remove the row and run "
            "the evaluation again."
        ) from error


def _convert(texts: list[str], name: str) -> pd.Series:
    """One column of a file; an empty field means "missing" where a value may be missing."""
    if SCHEMA[name] == "str":
        return pd.Series(texts, dtype="object")
    number: Callable[[str], float] = float if SCHEMA[name] == "float64" else int
    may_miss = name in ("train_seed", "return", "score")
    values: list[float | None] = []
    for row, text in enumerate(texts, 1):
        try:
            values.append(None if may_miss and not text else number(text))
        except ValueError as error:
            wanted = "a number" if number is float else "a whole number"
            raise ValueError(f"row {row}, column {name!r}: {text!r} is not {wanted}.") from error
    return pd.Series(values, dtype="object")
