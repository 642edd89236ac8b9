"""Tables for a paper: one number per policy and condition, and the worst case."""

import numpy as np
import pandas as pd

from reports.findings.ranking import leaders
from reports.findings.sensors import elsewhere
from reports.study.names import condition_name
from reports.study.summary import BLOCKS, CONDITION, Results, study_of
from reports.study.texts import DASH
from reports.study.worst import by, candidates, most

WIDE = 6
"""Maximum number of conditions as columns; more of them become rows."""


def policy_table(results: Results, block: str = "attack", *, changes: bool = False) -> pd.DataFrame:
    """A table with a row per policy, and columns for clean, the conditions of a block and the worst of them.

    A cell is `mean ± half-width`. Bold marks leaders (see `leaders`) and † flags, as in the large table. The worst case
    (`worst.candidates`) includes the points of grids and samples, which have no columns of their own. It has no
    column if only one condition is a candidate. Without conditions of the block the table has only the clean column.

    Args:
        results: the episodes.
        block: attack, perturbation, or attack and perturbation.
        changes: add the change from clean, in points and percent.

    Raises:
        ValueError: the block is unknown; or as `summarize`.
    """
    if block not in BLOCKS[1:]:
        raise ValueError(f"there is no block {block!r} of conditions; choose one of {', '.join(BLOCKS[1:])}.")
    study = study_of(results)
    summary, best = study.summary, leaders(study)
    conditions = summary[summary["block"] == block]
    shown = summary[summary["block"].isin(["clean", block]) & ~elsewhere(summary)]
    names = {key: condition_name(cells.iloc[0]) for key, cells in shown.groupby(CONDITION, sort=False)}
    rows = []
    for policy, own in summary.groupby("policy", sort=False):
        row: dict[str, str] = {"policy": str(policy)} | dict.fromkeys(names.values(), DASH)
        for index, cell in shown[shown["policy"] == policy].iterrows():
            row[condition_name(cell)] = _cell(cell, bold=index in best, changes=changes)
        if most(conditions) > 1:
            row["worst"] = _worst(own[(own["block"] == block) & own["mean"].notna()], changes=changes)
        rows.append(row)
    return pd.DataFrame(rows)


def turned(table: pd.DataFrame) -> pd.DataFrame:
    """A policy table with conditions as rows and policies as columns."""
    wide = table.set_index("policy").T
    wide.insert(0, "condition", wide.index)
    return wide.reset_index(drop=True).rename_axis(columns=None)


def paper_tables(results: Results) -> dict[str, pd.DataFrame]:
    """The policy table of every block that has conditions, transposed if there are more than `WIDE` of them."""
    study = study_of(results)
    blocks = [block for block in BLOCKS[1:] if (study.summary["block"] == block).any()]
    tables = {block: policy_table(study, block) for block in blocks}
    return {block: turned(table) if table.shape[1] > WIDE + 2 else table for block, table in tables.items()}


def _worst(cells: pd.DataFrame, *, changes: bool) -> str:
    if cells.empty:
        return DASH
    cells = candidates(cells)
    cell = cells.iloc[int(np.argmin(cells["aligned"].to_numpy()))]
    return f"{_cell(cell, bold=False, changes=changes)} at {condition_name(cell)}"


def _cell(cell: pd.Series, *, bold: bool, changes: bool) -> str:
    if pd.isna(cell["mean"]):
        return "no return †" + by(cell)
    half = (cell["high"] - cell["low"]) / 2
    text = f"{cell['mean']:z.1f}" + ("" if pd.isna(half) else f" ± {half:z.1f}")
    if changes and not pd.isna(cell["change"]):
        percent = "" if pd.isna(cell["change_percent"]) else f", {cell['change_percent']:z.1f} %"
        text += f" ({cell['change']:z.1f}{percent})"
    return (f"**{text}**" if bold else text) + (" †" if cell["flags"] or cell["left_out"] else "") + by(cell)
