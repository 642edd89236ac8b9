"""The rows of an evaluation in results.csv: those planned, those that exist, and their final order."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from microbench.checkpoints import Checkpoint
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import flag_mismatch, row_of
from microbench.evaluation.named_files import with_files
from microbench.evaluation.plan import HELD_OUT, Cell, Episode
from reports.rows.identity import LABELS, keys_of, once
from reports.rows.results import read
from reports.rows.schema import KEY, SCHEMA
from reports.rows.writer import Writer, move_last
from reports.study.provenance import read_sidecars

TEXTS = tuple(name for name in KEY if SCHEMA[name] == "str")


def identify(checkpoint: Checkpoint, conditions: Conditions, planned: list[Episode]) -> pd.DataFrame:
    """The key of every planned row (`reports.rows.identity.keys_of`), in order."""
    rows = [row_of(checkpoint, conditions, episode) for episode in planned]
    return keys_of(pd.DataFrame(rows, columns=[*KEY, *LABELS]))


def missing_episodes(results: Path, keys: pd.DataFrame, planned: list[Episode]) -> list[Episode]:
    """The planned episodes, identified by `keys`, that the table lacks.

    Raises:
        ValueError: the table is damaged.

    """
    if not results.exists():
        return planned
    there = _index(keys).isin(_index(read(results)))
    return [episode for episode, is_there in zip(planned, there, strict=True) if not is_there]


def measured_before(results: Path, keys: pd.DataFrame) -> str:
    """A remark on planned episodes that the table holds, with the next `--seed` that shares none; empty without any.

    Raises:
        ValueError: the table is damaged.

    """
    table = keys_of(read(results)) if results.exists() else keys.iloc[:0]
    count = int(_index(keys).isin(_index(table)).sum())
    own = table["checkpoint"].isin(keys["checkpoint"]) & table["task"].isin(keys["task"])
    chosen = table.loc[own & (table["eval_seed"] < HELD_OUT), "eval_seed"]
    if not count or chosen.empty:
        return ""
    free = int(chosen.max()) + 1
    return f"{count} of {len(keys)} episodes were measured before (--seed {free} is the next that shares none)"


def check_same_files(results: Path, cells: Iterable[Cell]) -> None:
    """Raise UserError if earlier rows used a file of these cells when it had another content.

    Raises:
        ValueError: the table is damaged.

    """
    table = read(results) if results.exists() else None
    for cell in map(with_files, dict.fromkeys(cells)) if table is not None else ():
        names = {"attack": (cell.shown, "attack_files"), "perturbation": (cell.perturbation, "perturbation_files")}
        for (name, (text, column)), now in zip(names.items(), cell.files or ("", ""), strict=True):
            assert table is not None
            before = set(table.loc[table[name] == text, column]) - {""}
            if now and before - {now}:
                raise UserError(
                    f"a file that {text} names has another content than the one that earlier rows here were measured "
                    "with; give it another name, or choose another --out."
                )


def finish(results: Path, keys: pd.DataFrame) -> pd.DataFrame:
    """Move the planned rows to the end, in the order of the plan, and return the whole table.

    Old rows keep their bytes, and another evaluation may write to the same file meanwhile.

    Raises:
        ValueError: the file is damaged, or planned rows are missing.
        OSError: the file cannot be written.

    """
    move_last(keys, results)
    return read(results)


def flag_claim(results: Path, checkpoint: Checkpoint, claim: float) -> None:
    """Flag the clean rows of a policy whose mean return differs from the claimed one (`flag_mismatch`).

    Raises:
        ValueError: the file is damaged.
        OSError: the file cannot be written.

    """
    old = read(results)
    new = flag_mismatch(old, checkpoint.sha256, claim)
    flagged = new[new["flags"] != old["flags"]]
    if len(flagged):
        with Writer(results) as writer:
            writer.put(flagged)


def planned_rows(frame: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """The rows of a finished table that `keys` identify, in their order.

    Raises:
        ValueError: the table lacks one of them.

    """
    rows, _ = once(frame)
    places = _index(rows).get_indexer(_index(keys))
    if (places < 0).any():
        raise ValueError("results.csv lost rows while this command ran: another program changed it; use --resume.")
    return rows.iloc[places].reset_index(drop=True)


def past_runs(results: Path) -> list[dict[str, Any]]:
    """The entries of results.json, one per command that wrote rows.

    Raises:
        ValueError: results.json is damaged.

    """
    return read_sidecars([results])["runs"]


def _index(rows: pd.DataFrame) -> pd.MultiIndex:
    """The key of each row, as an index."""
    return pd.MultiIndex.from_frame(keys_of(rows).astype(dict.fromkeys(TEXTS, object)))
