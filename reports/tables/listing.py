"""The sortable tables of the page: every cell has a text, a value to sort by, and the means have a drawn mark."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.study.names import number, perturbation_name
from reports.study.summary import BLOCKS
from reports.study.texts import DASH, interval
from reports.study.worst import by
from reports.tables.robustness import count
from reports.words import verdict

MOST_ROWS = 300
"""Maximum number of rows of a listing. The lowest means are kept, and the others are counted."""

TITLES = {
    "clean": "Clean",
    "attack": "Observation attacks",
    "perturbation": "Perturbations",
    "attack and perturbation": "Attacks with perturbations",
}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One table of the page: block, title, names of columns, rows, and the number of rows left out."""

    block: str
    title: str
    columns: list[str]
    rows: list[dict[str, Any]]
    left_out: int


def listings(summary: pd.DataFrame) -> list[Listing]:
    """One table per block of conditions; each also has the clean condition for comparison."""
    present = [block for block in BLOCKS if (summary["block"] == block).any()]
    blocks = [block for block in present if block != "clean"] or present
    return [_listing(block, summary) for block in blocks]


def _listing(block: str, summary: pd.DataFrame) -> Listing:
    own = summary[summary["block"] == block]
    kept = own.loc[own["mean"].sort_values(kind="stable", na_position="first").index[:MOST_ROWS].sort_values()]
    clean = summary[(summary["block"] == "clean") & (block != "clean")]
    columns = _identity(own, several=summary["policy"].nunique() > 1)
    means = clean.set_index("policy")["mean"].to_dict()
    shown = pd.concat([clean, kept])
    span = _span(shown)
    rows = [_row(cell, columns, span, means.get(cell["policy"])) for _, cell in shown.iterrows()]
    return Listing(block=block, title=TITLES[block], columns=columns, rows=rows, left_out=len(own) - len(kept))


def _identity(own: pd.DataFrame, *, several: bool) -> list[str]:
    """The columns that identify a condition, without columns that are equal in every row."""
    block = own["block"].iloc[0]
    columns = ["policy"] if several else []
    if block in ("clean", "attack", "attack and perturbation"):
        columns += ["attack", "eps"]
        columns += ["unit", "norm"] if len(own[["unit", "norm"]].drop_duplicates()) > 1 else []
    return [*columns, *(["perturbation", "factor"] if "perturbation" in block else [])]


def _row(cell: pd.Series, columns: list[str], span: tuple[float, float], clean: float | None) -> dict[str, Any]:
    identity = [_identified(cell, name) for name in columns]
    if cell["block"] == "clean":
        named = next(place for place, name in enumerate(columns) if name in ("attack", "perturbation"))
        identity[named] = ("clean", "clean")
    return {
        "is_clean": cell["block"] == "clean",
        "identity": identity,
        "mean": _amount(cell["mean"], interval(cell["low"], cell["high"])),
        "change": _amount(cell["change"], interval(cell["change_low"], cell["change_high"])),
        "percent": _amount(cell["change_percent"], unit=" %"),
        "is_loss": bool(cell["change_high"] < 0),
        "is_unclear": cell["block"] != "clean" and verdict.is_unclear(cell),
        "n": count(cell),
        "count": int(cell["n"]),
        "flags": cell["flags"] + (f" {cell['left_out']} without a return" if cell["left_out"] else ""),
        "mark": _mark(cell, span, clean),
    }


def _identified(cell: pd.Series, name: str) -> tuple[str, str]:
    """The text of a cell and the value that sorts it; `–` marks an absent one."""
    value = cell[name]
    if name in ("eps", "factor"):
        absent = cell["attack" if name == "eps" else "perturbation"] == "none"
        return (DASH, number(value)) if absent else (number(value), number(value))
    text = DASH if value in ("none", "") else perturbation_name(cell) if name == "perturbation" else str(value)
    return (text + by(cell) if name == "attack" else text, text)


def _amount(value: float, ends: str = "", unit: str = "") -> dict[str, str]:
    if math.isnan(value):
        return {"text": DASH, "interval": "", "value": ""}
    return {"text": f"{value:z.1f}{unit}", "interval": ends, "value": repr(float(value))}


def _span(shown: pd.DataFrame) -> tuple[float, float]:
    """The ends of the scale (low, high) that all marks of a table share."""
    numbers = shown[["mean", "low", "high"]].to_numpy(float)
    low, high = (float(pd.Series(numbers.ravel()).agg(name)) for name in ("min", "max"))
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _mark(cell: pd.Series, span: tuple[float, float], clean: float | None) -> dict[str, str] | None:
    """Positions of the mean, its interval and the clean mean, in percent of the scale."""
    if pd.isna(cell["mean"]):
        return None
    low, high = (cell["mean"] if pd.isna(end) else end for end in (cell["low"], cell["high"]))
    places = {"mean": cell["mean"], "low": low, "high": high}
    places |= {} if clean is None or pd.isna(clean) else {"clean": clean}
    return {name: f"{100 * (value - span[0]) / (span[1] - span[0]):.1f}" for name, value in places.items()}
