"""The rows of an evaluation in results.csv: which are planned, which are there, and how new ones get in."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from microbench.checkpoints import Checkpoint
from microbench.evaluate import Conditions
from microbench.plan import Episode
from reports.provenance import read_sidecars
from reports.results import append, read, write
from reports.schema import KEY


def identify(checkpoint: Checkpoint, conditions: Conditions, planned: list[Episode]) -> pd.DataFrame:
    """The identifying columns (reports.schema.KEY) of every planned row, in order."""
    common = {
        "algorithm": checkpoint.algorithm,
        "dataset": checkpoint.dataset,
        "train_seed": checkpoint.train_seed,
        "checkpoint": checkpoint.sha256,
        "task": conditions.env_id,
        "unit": conditions.unit,
        "norm": conditions.norm,
    }
    rows = [
        common | asdict(episode.cell) | {"episode": episode.number, "eval_seed": episode.seed} for episode in planned
    ]
    return pd.DataFrame(rows)[list(KEY)].astype({"train_seed": "Int64"})


def missing_episodes(results: Path, keys: pd.DataFrame, planned: list[Episode]) -> list[Episode]:
    """The planned episodes, identified by `keys`, that the table does not hold.

    Raises:
        ValueError: the table is damaged.

    """
    if not results.exists():
        return planned
    there = _index(keys).isin(_index(read(results)))
    return [episode for episode, found in zip(planned, there, strict=True) if not found]


def put(rows: pd.DataFrame, results: Path) -> None:
    """Add a chunk to the table, in place of the same episodes where it has them: nothing old leaves before.

    Raises:
        OSError: it cannot be written; the table is as it was.

    """
    if results.exists():
        old = read(results)
        again = _index(old).isin(_index(rows))
        if again.any():
            write(pd.concat([old[~again], rows], ignore_index=True), results, {"runs": past_runs(results)})
            return
    append(rows, results)


def in_order(frame: pd.DataFrame, keys: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The whole table and the planned rows, those last and in the order of the plan, whichever worker was first."""
    mine = frame.iloc[_index(frame).get_indexer(_index(keys))]
    others = frame.drop(index=mine.index)
    return pd.concat([others, mine], ignore_index=True), mine.reset_index(drop=True)


def past_runs(results: Path) -> list[dict[str, Any]]:
    """How the rows were made, from the JSON beside the table: one entry per command.

    Raises:
        ValueError: that file is damaged.

    """
    return read_sidecars([results])["runs"]


def _index(rows: pd.DataFrame) -> pd.MultiIndex:
    """What identifies each row."""
    return pd.MultiIndex.from_frame(rows[list(KEY)].astype({"train_seed": str}))
