"""Results files on disk: read, merge, write and append, without losing or repeating an episode."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from reports import files
from reports.rows.identity import keys_of, once
from reports.rows.packing import joined, unpacked
from reports.rows.parsing import columns_of, header, lines, parse, parse_packed
from reports.rows.schema import KEY, OUTCOME, SCHEMA, check
from reports.rows.writer import append

RESULTS = "results.csv"
"""The file name of an evaluation's table."""

__all__ = ["KEY", "RESULTS", "SCHEMA", "append", "check", "load_many", "read", "write"]


def read(path: Path | str) -> pd.DataFrame:
    """The checked table of a CSV file; every float64 is restored bit for bit.

    Raises:
        ValueError: the file is empty, truncated, damaged or not a results table; names file, row and column.
        OSError: the file cannot be opened.
    """
    path = Path(path)
    return parse(path.read_bytes(), path)


def load_many(paths: Iterable[Path | str]) -> pd.DataFrame:
    """One table of several files, with every episode once (see `reports.rows.identity`).

    Raises:
        ValueError: no paths, a damaged file, or two files that disagree about the same episode.
    """
    return unpacked(once(load_packed(paths))[0])


def load_packed(paths: Iterable[Path | str]) -> pd.DataFrame:
    """The rows of several files as one packed table, without rows that are equal in every column.

    Other repeated rows of an episode stay, so that a report can count them. Raises as `load_many` does.
    """
    tables = [parse_packed(Path(path).read_bytes(), Path(path)) for path in paths]
    if not tables:
        raise ValueError("no results files were given; name at least one results.csv.")
    together = joined(tables)
    if len(tables) > 1 and keys_of(together).duplicated().any():
        _check_agreement(tables)
        together = together.drop_duplicates(ignore_index=True)
    return together


def _check_agreement(tables: Sequence[pd.DataFrame]) -> None:
    """Raise ValueError if two files disagree about an episode. A disagreement within one file is only noted."""
    rows = joined([once(table)[0] for table in tables])
    keys = keys_of(rows)
    several = keys.duplicated(keep=False).to_numpy()
    distinct = keys[several].assign(**{name: rows.loc[several, name] for name in OUTCOME}).drop_duplicates()
    again = distinct.duplicated(list(KEY)).to_numpy()
    if again.any():
        row = rows.loc[distinct.index[int(np.argmax(again))]]
        raise ValueError(
            f"the results files disagree about episode {row['episode']} (eval_seed {row['eval_seed']}) of "
            f"{row['algorithm']} under attack {row['attack']} and perturbation {row['perturbation']}: one "
            "episode must have one return, so find out which file is wrong before reporting them together."
        )


def write(frame: pd.DataFrame, path: Path | str, sidecar: Mapping[str, object]) -> None:
    """Write the table to `path` and its metadata to `<stem>.json` in the same folder, each atomically.

    `sidecar` holds versions, config, command line and wall time. Raises ValueError as `check` does.
    """
    path = Path(path)
    checked = check(frame)
    names = columns_of(checked)
    table = header(names) + lines(checked, names)
    about = as_json(sidecar, path)
    files.replace(path.with_suffix(".json"), about)
    files.replace(path, table)


def as_json(sidecar: Mapping[str, object], path: Path) -> bytes:
    """The bytes of the JSON file of the table `path`; raises ValueError for values that JSON cannot represent."""
    try:
        return (json.dumps(dict(sidecar), indent=2, default=str, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"the sidecar of {path} is not JSON ({error}); use plain, finite values.") from error
