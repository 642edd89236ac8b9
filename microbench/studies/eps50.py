"""`--eps50`: the budget that halves the score, found by measuring one budget after the other.

All budgets that were tried are rows of results.csv like any others, so that the report has the whole curve, and an
interrupted search goes on where it was.
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
"""The first budget where none is given."""

MOST = 12
"""Budgets of one attack where nothing else is said: doubling from 0.1 to 0.8 and halving to 5 % takes eight."""

NONE = {
    "no half": "the clean score is not positive and has no half",
    "no return": "no episode has a return under every budget",
}
"""Why a search ends without an answer."""

Measured = Callable[[Sequence[Cell]], Stages]
"""Cells → the stages that measure them."""


def halved(cells: Sequence[Cell], measured: Measured, most: int) -> Stages:
    """Measure the cells, then for each of their attacks one budget after the other until the score has halved.

    Attacks are searched side by side; each has at most `most` budgets, those of the cells included.
    """
    names = list(dict.fromkeys(cell.attack for cell in cells if cell != CLEAN))
    rows: list[pd.DataFrame] = []
    told = yield from _collected(measured(cells), rows, {})
    while True:
        frame = pd.concat(rows, ignore_index=True)
        steps = {name: _step(frame, name, most) for name in names}
        further = [Cell(attack=name, eps=step.next) for name, step in steps.items() if step.next is not None]
        if not further:
            return {**told, "eps50": [_about(frame, name, step) for name, step in steps.items()]}
        told = yield from _collected(measured(further), rows, told)


def sentence(about: Mapping[str, Any]) -> str:
    """For example `eps50 of pgd: 0.0832 [0.078, 0.088] (dataset-std, linf), between the measured 0.081 and 0.084.`."""
    unit, largest = f"({about['unit']}, {about['norm']})", number(about["largest"])
    name = f"eps50 of {about['attack']}"
    if about["why"] in NONE:
        return f"{name}: none, because {NONE[about['why']]}."
    if about["eps50"] is None:
        return f"{name}: not reached up to eps {largest} {unit}: the mean score stays above half of clean."
    ends = [short(end) if end is not None else f"beyond {largest}" for end in (about["low"], about["high"])]
    interval = f"[{', '.join(ends)}]" if about["n"] > 1 else "without an interval"
    low, high = about["between"]
    said = f"{name}: {short(about['eps50'])} {interval} {unit}, between the measured {number(low)} and {number(high)}."
    return said + {
        "episodes": " These episodes cannot place it better; more --episodes can.",
        "budgets": " More --budgets would place it better.",
    }.get(about["why"], "")


def _collected(
    stages: Stages, rows: list[pd.DataFrame], told: dict[str, Any]
) -> Generator[Stage, pd.DataFrame, dict[str, Any]]:
    """The stages, their rows kept and what they tell put behind what was told before."""
    stage = next(stages)
    while True:
        found = yield replace(stage, told=_joined(told, dict(stage.told)) if stage.told else {})
        rows.append(found)
        try:
            stage = stages.send(found)
        except StopIteration as ended:
            return _joined(told, ended.value)


def _joined(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: [*before.get(name, []), *after.get(name, [])] for name in {**before, **after}}


def _step(frame: pd.DataFrame, attack: str, most: int) -> Step:
    curve = curve_of(frame, attack)
    if curve is None:
        return Step(why="no return")
    return next_step(curve.eps, curve.values, curve.runs, most=most)


def _about(frame: pd.DataFrame, attack: str, step: Step) -> dict[str, Any]:
    """What results.json says: the budget, its interval (None where it is infinite), and why the search ended."""
    own = frame[frame["attack"] == attack]
    curves = [row for row in budget_numbers(frame).to_dict("records") if row["attack"] == attack]
    row = curves[0] if curves else {"n": 0}  # one budget alone makes no curve
    found = {
        name: row.get(f"eps50{end}", math.nan) for name, end in (("eps50", ""), ("low", "_low"), ("high", "_high"))
    }
    return {
        **{name: str(own[name].iloc[0]) for name in ("attack", "unit", "norm")},
        **{name: float(value) if math.isfinite(value) else None for name, value in found.items()},
        "largest": float(own["eps"].max()),
        "n": int(row["n"]),
        "why": step.why,
        "between": step.between and list(step.between),
    }
