"""The rows of an evaluation in results.csv: which are planned, which are there, and the order they end in."""

from pathlib import Path
from typing import Any

import pandas as pd

from microbench.attacking import Conditions
from microbench.checkpoints import Checkpoint
from microbench.evaluate import flag_mismatch
from microbench.plan import Episode
from reports.numbers.provenance import read_sidecars
from reports.rows.results import read
from reports.rows.schema import KEY
from reports.rows.writer import Writer, move_last


def identify(checkpoint: Checkpoint, conditions: Conditions, planned: list[Episode]) -> pd.DataFrame:
    """The identifying columns (reports.rows.schema.KEY) of every planned row, in order."""
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
        common
        | {"attack": episode.cell.shown, "eps": episode.cell.eps}
        | {"perturbation": episode.cell.perturbation, "factor": episode.cell.factor}
        | {"episode": episode.number, "eval_seed": episode.seed}
        for episode in planned
    ]
    return pd.DataFrame(rows, columns=list(KEY)).astype({"train_seed": "Int64"})


def missing_episodes(results: Path, keys: pd.DataFrame, planned: list[Episode]) -> list[Episode]:
    """The planned episodes, identified by `keys`, that the table does not hold.

    Raises:
        ValueError: the table is damaged.

    """
    if not results.exists():
        return planned
    there = _index(keys).isin(_index(read(results)))
    return [episode for episode, found in zip(planned, there, strict=True) if not found]


def finish(results: Path, keys: pd.DataFrame) -> pd.DataFrame:
    """Put the planned rows last and in the order of the plan, whichever worker was first; returns the whole table.

    Old rows keep their bytes, and another evaluation may write to the same file meanwhile.

    Raises:
        ValueError: the file is damaged, or planned rows are missing.
        OSError: it cannot be written.

    """
    move_last(keys, results)
    return read(results)


def flag_claim(results: Path, checkpoint: Checkpoint, claim: float) -> None:
    """Flag the clean rows of a policy that does not earn the return that is claimed of it.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be written.

    """
    old = read(results)
    new = flag_mismatch(old, checkpoint.sha256, claim)
    flagged = new[new["flags"] != old["flags"]]
    if len(flagged):
        with Writer(results) as writer:
            writer.put(flagged)


def planned_rows(frame: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """The rows of a finished table that `keys` identify, in their order."""
    return frame.iloc[_index(frame).get_indexer(_index(keys))].reset_index(drop=True)


def past_runs(results: Path) -> list[dict[str, Any]]:
    """How the rows were made, from the JSON beside the table: one entry per command.

    Raises:
        ValueError: that file is damaged.

    """
    return read_sidecars([results])["runs"]


def _index(rows: pd.DataFrame) -> pd.MultiIndex:
    """What identifies each row."""
    return pd.MultiIndex.from_frame(rows[list(KEY)].astype({"train_seed": str}))
