"""Certificates as a table: what attacks reach beside what no attack can exceed, one row per budget.

The frame has one row per budget and statistic over states (`STATISTICS`), with the columns `SERIES` in half-widths of
the action box, weakest search first, and `flags` joined by ";".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.study.names import number
from reports.tables.formats import to_markdown

STATISTICS = ("mean", "median", "max")
SERIES: Mapping[str, str] = {"random": "random", "attack": "attack", "crown": "CROWN", "ibp": "IBP"}
"""Column → what it is called."""

CAPTION = (
    "Largest change of the action at {states} states of clean episodes, in half-widths of the action box; mean "
    "(maximum) over states. Random points and gradient searches reach the first two; no attack exceeds CROWN or IBP."
)


def frame(budgets: Sequence[Mapping[str, Any]], *, unit: str, norm: str, states: int) -> pd.DataFrame:
    """Rows of the table from the `budgets` of certificates.json: eps, `changes` by series and statistic, `flags`."""
    rows = [
        {
            "eps": budget["eps"],
            "unit": unit,
            "norm": norm,
            "states": states,
            "over": over,
            **{name: budget["changes"][name][over] for name in (*SERIES, "bound")},
            "flags": ";".join(budget["flags"]),
        }
        for budget in budgets
        for over in STATISTICS
    ]
    return pd.DataFrame(rows)


def markdown(certificates: pd.DataFrame) -> str:
    """One row per budget; † marks one whose flags stand in the last column (docs/flags.md)."""
    rows = [_text(rows.set_index("over")) for _, rows in certificates.groupby("eps", sort=True)]
    return to_markdown(pd.DataFrame(rows), CAPTION.format(states=certificates["states"].iloc[0]))


def _text(rows: pd.DataFrame) -> dict[str, str]:
    over: dict[Any, dict[Any, Any]] = rows.to_dict("index")
    mean, largest = over["mean"], over["max"]
    share = mean["attack"] / mean["bound"] if mean["bound"] > 0 else 1.0
    return {
        "eps": f"{number(mean['eps'])} {mean['unit']} {mean['norm']}",
        **{title: f"{mean[name]:.3g} ({largest[name]:.3g})" for name, title in SERIES.items()},
        "attack / bound": f"{100 * share:.0f} %",
        "flags": f"† {mean['flags']}" if mean["flags"] else "",
    }
