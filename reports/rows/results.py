"""The results table on disk: read, write, append, and nothing lost or doubled on the way."""

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
"""What the table of an evaluation is called in its folder."""

__all__ = ["KEY", "RESULTS", "SCHEMA", "append", "check", "load_many", "read", "write"]


def read(path: Path | str) -> pd.DataFrame:
    """A checked table from a CSV file; every float64 comes back bit for bit.

    Raises:
        ValueError: the file is empty, cut off, foreign or damaged; the sentence names file, row and column.
        OSError: the file cannot be opened.
    """
    path = Path(path)
    return parse(path.read_bytes(), path)


def load_many(paths: Iterable[Path | str]) -> pd.DataFrame:
    """One table from several files in which every episode is once (`reports.rows.identity`).

    Raises:
        ValueError: no paths, a damaged file, or two files that disagree about the same episode.
    """
    return unpacked(once(load_packed(paths))[0])


def load_packed(paths: Iterable[Path | str]) -> pd.DataFrame:
    """The rows of several files, packed, without those that are equal in every column; raises as `load_many` does.

    Other rows of one episode are left in, so that a report can say how many there were.
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
    """Raise ValueError where two files give an episode two outcomes; of one that disagrees with itself a note tells."""
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
    """Write the table to `path` and what produced it to `<stem>.json` beside it, each whole or not at all.

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
    """What stands beside the table `path`; raises ValueError for what JSON cannot hold."""
    try:
        return (json.dumps(dict(sidecar), indent=2, default=str, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"the sidecar of {path} is not JSON ({error}); use plain, finite values.") from error
