"""The table of choices of `worst`, as text cells."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.study.names import condition_name
from reports.study.provenance import runs_of
from reports.study.summary import Results, study_of
from reports.study.texts import DASH
from reports.study.worst import WORST
from reports.words.choosing import CELL, checkpoints_of, records

CAPTION = (
    "Choice of worst: the attack with the lowest mean return among the candidates, on a first set of episodes. Margin: "
    "mean return of the runner-up minus that of the attack [95 % interval of the paired difference]. If it includes 0, "
    "other episodes might have chosen another attack. The score of worst is not affected: it is from fresh episodes."
)

MOST_ROWS = 60
"""Maximum number of choices in the table; results.json has all."""


def choice_table(results: Results) -> pd.DataFrame:
    """One row per choice: policy, condition, attack, candidates, mean return, runner-up and margin, as text cells.

    The table has no rows if no choice is recorded. The later of two choices on the same episodes counts.
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
    weaker, low, high = (f"{value:z.1f}" if value is not None else DASH for value in choice.get("margin") or [None] * 3)
    return {
        "policy": str(row["policy"]),
        "condition": condition_name(row),
        "attack": str(choice["attack"]),
        "candidates": str(len(means)) if means else DASH,
        "mean return": f"{means[choice['attack']]:z.1f}" if means.get(choice["attack"]) is not None else DASH,
        "runner-up": str(choice.get("runner_up", DASH)),
        "margin": weaker if low == DASH else f"{weaker} [{low}, {high}]",
    }
