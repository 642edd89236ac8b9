"""What `worst` chose, as text cells."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.study.names import condition_name
from reports.study.provenance import runs_of
from reports.study.summary import Results, study_of
from reports.study.worst import WORST
from reports.words.choosing import CELL, checkpoints_of, records

CAPTION = (
    "What worst is: the attack with the lowest mean return on the first episodes of a cell, of so many; by how much "
    "more the runner-up left on the same episodes [95 % interval of the paired difference]. An interval around 0 means "
    "that other episodes might have chosen another attack. It leaves the score of worst alone, which is from fresh "
    "episodes."
)

MOST_ROWS = 60
"""Choices that a table shows; results.json has them all."""


def choice_table(results: Results) -> pd.DataFrame:
    """Text cells: policy, condition, the attack that it is, of how many, its mean return, runner-up and its distance.

    Without rows if nobody tells what was chosen; of two choices on the same episodes the later one counts.
    """
    study = study_of(results)
    summary, rows = study.summary, list[dict[str, str]]()
    for policy, again in summary[summary["attack"] == WORST].groupby("policy", sort=False):
        by_cell = records(runs_of(study.about), checkpoints_of(study.episodes, str(policy)))
        for _, row in again.iterrows():
            own = by_cell.get(tuple(row[CELL]), [])
            newest = {(one["checkpoint"], one.get("seed"), one.get("episodes")): one for one in own}
            rows += [_line(row, one) for one in newest.values()]
    return pd.DataFrame(rows[:MOST_ROWS])


def _line(row: pd.Series, choice: Mapping[str, Any]) -> dict[str, str]:
    means = choice.get("mean_returns") or {}
    weaker, low, high = (f"{value:z.1f}" if value is not None else "–" for value in choice.get("margin") or [None] * 3)
    return {
        "policy": str(row["policy"]),
        "condition": condition_name(row),
        "is": str(choice["attack"]),
        "of": str(len(means)) if means else "–",
        "mean return": f"{means[choice['attack']]:z.1f}" if means.get(choice["attack"]) is not None else "–",
        "runner-up": str(choice.get("runner_up", "–")),
        "more by": weaker if low == "–" else f"{weaker} [{low}, {high}]",
    }
