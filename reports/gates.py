"""Gates: limits that results must keep, for continuous integration.

The burden of proof lies with the policy: the lower end of the 95 % interval must reach a limit. Too few episodes, or
episodes without a return, therefore fail a gate. All conditions must pass, so their number needs no correction (an
intersection-union test, Berger 1982).
"""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.rows.damaged import READING, reason
from reports.rows.printable import cut, shown
from reports.study.names import condition_name
from reports.study.summary import Results, study_of

CHOICES = {"policy": str, "attack": str, "eps": float, "unit": str, "norm": str, "perturbation": str, "factor": float}
"""Keys of a gate that select conditions, with their types; a condition must agree in every key."""

LIMITS = {"min_score": float, "min_return": float, "min_change": float, "max_flagged": int}
BY = ("low", "mean")

LARGEST = 1 << 16
"""Maximum size of a file of gates in bytes: parsing dotted keys takes quadratic time."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Limits for the conditions that agree with `chosen`; None is no limit.

    Attributes:
        chosen: key → value that a condition must have; empty for all conditions.
        min_score: least mean of conditions measured in scores.
        min_return: least mean of conditions measured in returns.
        min_value: least mean in the unit of the table.
        min_change: least change from clean, in points.
        max_flagged: largest number of flagged episodes of these conditions together.
        by: `low` compares the lower end of the interval with a limit, `mean` the mean.
    """

    chosen: Mapping[str, str | float]
    min_score: float | None = None
    min_return: float | None = None
    min_value: float | None = None
    min_change: float | None = None
    max_flagged: int | None = None
    by: str = "low"

    def __str__(self) -> str:
        """The gate in a sentence, for example `gate attack = 'pgd', eps = 0.1`."""
        keys = ", ".join(f"{key} = {shown(value)}" for key, value in self.chosen.items())
        return f"gate {keys or 'of all conditions'}"


def read_gates(path: Path) -> list[Gate]:
    """The gates of a TOML file: its `[[gate]]` tables, and max_flagged at the top level if it has that key.

    Raises:
        ValueError: the file is not TOML, has no gate or an unknown key, or a gate has a wrong value or no limit.
        OSError: the file cannot be opened.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has more than {LARGEST >> 10} KiB; expected [[gate]] tables, so give another file.")
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except READING as error:
        raise ValueError(f"{path} is not TOML ({reason(error)}); expected [[gate]] tables.") from error
    _check_keys(path, "at its top", content, ("gate", "max_flagged"))
    tables = content.pop("gate", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{path}: gates are tables of their own; write [[gate]] with double brackets.")
    tables += [content] if content else []
    if not tables:
        raise ValueError(f"{path} has no gate; write one, for example [[gate]] with min_score = 60 below it.")
    return [_gate(path, f"in gate {number}", table) for number, table in enumerate(tables, 1)]


def fail_under(limit: float) -> Gate:
    """The gate of `--fail-under`: it applies to every condition, in the unit of the table.

    Raises:
        ValueError: the limit is not finite.
    """
    if not math.isfinite(limit):
        raise ValueError(f"--fail-under is {limit}; expected a finite number, for example --fail-under 60.")
    return Gate(chosen={}, min_value=limit)


def failures(gates: Iterable[Gate], results: Results) -> list[str]:
    """One sentence per violated limit; an empty list if every gate passes.

    Raises:
        ValueError: a gate matches no condition, or limits a number that its conditions lack; or as `summarize`.
    """
    study = study_of(results)
    episodes, cells = study.episodes, study.summary
    flagged = np.bincount(episodes.loc[episodes["flags"] != "", "cell"], minlength=len(cells))
    cells = cells.assign(flagged=flagged)
    return [sentence for gate in gates for sentence in _failures(gate, cells)]


def _failures(gate: Gate, cells: pd.DataFrame) -> list[str]:
    matched = cells
    for key, value in gate.chosen.items():
        matched = matched[matched[key] == value]
    if matched.empty:
        raise ValueError(f"{gate} matches no condition of these results; correct its keys, or evaluate that condition.")
    failed = []
    for name in ("min_score", "min_return", "min_value", "min_change"):
        limit = getattr(gate, name)
        if limit is not None:
            failed += _below(gate, _bounded(gate, name, matched), limit, change=name == "min_change")
    flagged = int(matched["flagged"].sum())
    if gate.max_flagged is not None and flagged > gate.max_flagged:
        failed.append(f"{gate}: {flagged} episodes are flagged, expected at most {gate.max_flagged}.")
    return failed


def _bounded(gate: Gate, name: str, matched: pd.DataFrame) -> pd.DataFrame:
    """The conditions that a limit applies to; raises ValueError if one of them lacks the limited number."""
    metric = {"min_score": "score", "min_return": "return"}.get(name)
    if metric and (matched["metric"] != metric).any():
        other = {"min_score": "min_return", "min_return": "min_score"}[name]
        raise ValueError(f"{gate} has {name}, but not all its conditions are measured in {metric}s; use {other}.")
    if name != "min_change":
        return matched
    changed = matched[matched["block"] != "clean"]
    alone = changed[(changed["paired"] == 0) & (changed["left_out"] < changed["n"])]
    if changed.empty or len(alone):
        which = condition_name((alone if len(alone) else matched).iloc[0])
        raise ValueError(f"{gate} has min_change, but {which} has no paired clean episodes; evaluate clean too.")
    return changed


def _below(gate: Gate, cells: pd.DataFrame, limit: float, *, change: bool) -> list[str]:
    column, low = ("change", "change_low") if change else ("mean", "low")
    sentences = []
    for _, cell in cells.iterrows():
        name = f"{gate}: {cell['policy']}, {condition_name(cell)}"
        what = "Δ vs. clean" if change else cell["metric"]
        value = cell[column if gate.by == "mean" else low]
        if cell["left_out"]:
            sentences.append(f"{name}: {cell['left_out']} of {cell['n']} episodes have no return, so the gate fails.")
        elif not change and cell["common_seeds"] < cell["clean_seeds"]:
            sentences.append(
                f"{name}: it has {cell['common_seeds']} of the {cell['clean_seeds']} training runs that clean has, "
                "so the gate fails; evaluate the missing runs, or set min_change, which compares common runs."
            )
        elif pd.isna(value):
            sentences.append(f'{name}: one episode gives no interval; evaluate more, or set by = "mean".')
        elif value < limit:
            which = f"mean {what}" if gate.by == "mean" else f"lower end of the 95 % interval of the {what}"
            sentences.append(f"{name}: the {which} is {value:.6g}, expected at least {limit:.12g}.")
    return sentences


def _gate(path: Path, place: str, table: dict[str, Any]) -> Gate:
    _check_keys(path, place, table, (*CHOICES, *LIMITS, "by"))
    kinds = CHOICES | LIMITS
    for key, value in table.items():
        kind = kinds.get(key, str)
        if not _is(kind, value):
            wanted = {str: "a text", float: "a number that is finite", int: "a whole number of at least 0"}[kind]
            raise ValueError(f"{path}, {place}: {key} is {shown(value)}; expected {wanted}.")
    if table.get("by", "low") not in BY:
        raise ValueError(f'{path}, {place}: by is {shown(table["by"])}; expected "low" (of the interval) or "mean".')
    if not set(table) & set(LIMITS):
        raise ValueError(f"{path}, {place}: the gate has no limit; give one of {', '.join(LIMITS)}.")
    known = {field.name for field in fields(Gate)}
    limits = {key: value for key, value in table.items() if key in known}
    return Gate(chosen={key: value for key, value in table.items() if key in CHOICES}, **limits)


def _is(kind: type, value: object) -> bool:
    if kind is float:
        try:
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        except OverflowError:
            return False
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    return isinstance(value, kind)


def _check_keys(path: Path, place: str, table: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            near = get_close_matches(cut(key), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(known)}."
            raise ValueError(f"{path}, {place}: there is no key {shown(key)}; {hint}")
