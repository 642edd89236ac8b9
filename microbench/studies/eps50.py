"""`--eps50` searches for the budget that halves the score: it measures one budget after the other.

All measured budgets are ordinary rows of results.csv, so that the report shows the whole curve, and an interrupted
search continues where it stopped.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from microbench.evaluation.plan import CLEAN, Cell
from microbench.studies.stages import Stage, Stages
from reports.findings.budgets import budget_numbers, curve_of
from reports.findings.halving import Step, next_step
from reports.study.names import number, short

FIRST = 0.1
"""The first budget without `--eps`."""

MOST = 12
"""Number of budgets of one attack without `--budgets`: doubling from 0.1 to 0.8 and halving to 5 % takes eight."""

NONE = {
    "no half": "the clean score is not positive and has no half",
    "no return": "no episode has a return under every budget",
}
"""Reasons for a search to end without an answer."""

Measured = Callable[[Sequence[Cell]], Stages]
"""A function from cells to the stages that measure them."""


def halved(cells: Sequence[Cell], measured: Measured, most: int) -> Stages:
    """Measure the cells, then for each of their attacks one budget after the other until the score has halved.

    All attacks take their next budget in the same stage; each has at most `most` budgets, those of the cells included.
    """
    names = list(dict.fromkeys(cell.attack for cell in cells if cell != CLEAN))
    rows: list[pd.DataFrame] = []
    metadata = yield from _collected(measured(cells), rows, {})
    while True:
        frame = pd.concat(rows, ignore_index=True)
        steps = {name: _step(frame, name, most) for name in names}
        further = [Cell(attack=name, eps=step.next) for name, step in steps.items() if step.next is not None]
        if not further:
            return {**metadata, "eps50": [_about(frame, name, step) for name, step in steps.items()]}
        metadata = yield from _collected(measured(further), rows, metadata)


def sentence(about: Mapping[str, Any]) -> str:
    """The sentence for one attack: `eps50 of pgd: 0.083 [0.078, 0.088] (dataset-std, linf), between the …`."""
    unit, largest = f"({about['unit']}, {about['norm']})", number(about["largest"])
    name = f"eps50 of {about['attack']}"
    if about["why"] in NONE:
        return f"{name}: none, because {NONE[about['why']]}."
    if about["eps50"] is None:
        return f"{name}: not reached up to eps {largest} {unit}: the mean score stays above half of clean."
    ends = [short(end) if end is not None else f"beyond {largest}" for end in (about["low"], about["high"])]
    interval = f"[{', '.join(ends)}]" if about["n"] > 1 else "without an interval"
    low, high = about["between"]
    text = f"{name}: {short(about['eps50'])} {interval} {unit}, between the measured {number(low)} and {number(high)}."
    return text + {
        "episodes": " These episodes cannot place it better; more --episodes can.",
        "budgets": " More --budgets would place it better.",
    }.get(about["why"], "")


def _collected(
    stages: Stages, rows: list[pd.DataFrame], metadata: dict[str, Any]
) -> Generator[Stage, pd.DataFrame, dict[str, Any]]:
    """Yield the stages, append their rows to `rows`, and return their metadata joined to that of earlier stages."""
    stage = next(stages)
    while True:
        measured = yield replace(stage, metadata=_joined(metadata, dict(stage.metadata)) if stage.metadata else {})
        rows.append(measured)
        try:
            stage = stages.send(measured)
        except StopIteration as ended:
            return _joined(metadata, ended.value)


def _joined(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: [*before.get(name, []), *after.get(name, [])] for name in {**before, **after}}


def _step(frame: pd.DataFrame, attack: str, most: int) -> Step:
    curve = curve_of(frame, attack)
    if curve is None:
        return Step(why="no return")
    return next_step(curve.eps, curve.values, curve.runs, most=most)


def _about(frame: pd.DataFrame, attack: str, step: Step) -> dict[str, Any]:
    """The entry in results.json: the budget, its interval (None where it is infinite), and why the search ended."""
    own = frame[frame["attack"] == attack]
    curves = [row for row in budget_numbers(frame).to_dict("records") if row["attack"] == attack]
    row = curves[0] if curves else {"n": 0}  # one budget alone makes no curve
    values = {
        name: row.get(f"eps50{end}", math.nan) for name, end in (("eps50", ""), ("low", "_low"), ("high", "_high"))
    }
    return {
        **{name: str(own[name].iloc[0]) for name in ("attack", "unit", "norm")},
        **{name: float(value) if math.isfinite(value) else None for name, value in values.items()},
        "largest": float(own["eps"].max()),
        "n": int(row["n"]),
        "why": step.why,
        "between": step.between and list(step.between),
    }
