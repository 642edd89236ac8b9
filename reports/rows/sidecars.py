"""Sidecars: the JSON files of results, read within limits of size and depth and checked part by part.

A file that is not a list of runs is refused. A part of a run with an unexpected form counts as absent, and
`complaints` reports it, because the results are still worth a report. Unknown names are not checked.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from reports.rows.damaged import READING, reason
from reports.rows.printable import shown

LARGEST = 1 << 24
"""Maximum size of a file in bytes."""

DEEPEST = 32
"""Maximum depth of nested lists and objects."""

Check = Callable[[object, str], None]
"""A check that raises ValueError with the place of a value that has another form."""


def read_runs(path: Path) -> list[dict[str, Any]]:
    """The unchecked runs of a file. An object without "runs" is one run, an empty object has none.

    Raises:
        ValueError: the file is not a list of runs as JSON, too large or nested too deeply.
        OSError: it cannot be read.
    """
    way = "remove it, the results beside it are not affected"
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has more than {LARGEST >> 20} MiB, too many for metadata of results; {way}.")
    try:
        content = json.loads(path.read_text("utf-8"), parse_constant=_no_number)
        if not isinstance(content, dict):
            _refuse("its content", content, "an object")
        _check_depth(content)
        runs = content.get("runs", [content] if content else [])
        _list_of(_record({}))(runs, "runs")
    except READING as error:
        raise ValueError(f"{path} is damaged ({reason(error)}); {way}.") from error
    return [dict(run) for run in runs]


def fit_runs(content: Mapping[str, object]) -> list[dict[str, Any]]:
    """The runs of a sidecar without parts that have an unexpected form."""
    return [run for run, _ in _fitted(content)]


def complaints(content: Mapping[str, object]) -> list[str]:
    """Sentences about parts that `fit_runs` drops: `runs[0].seconds is 'long', expected a finite number`."""
    return [sentence for _, sentences in _fitted(content) for sentence in sentences]


def _fitted(content: Mapping[str, object]) -> list[tuple[dict[str, Any], list[str]]]:
    runs = content.get("runs", [dict(content)] if content else [])
    if not isinstance(runs, list):
        return [({}, [f"runs is {shown(runs)}, expected a list"])]
    pairs = []
    for number, run in enumerate(runs):
        place = f"runs[{number}]"
        if isinstance(run, Mapping):
            pairs.append(_without_misfits(run, place))
        else:
            pairs.append(({}, [f"{place} is {shown(run)}, expected an object"]))
    return [(run, sentences) for run, sentences in pairs if run or sentences]


def _without_misfits(run: Mapping[str, Any], place: str) -> tuple[dict[str, Any], list[str]]:
    fit, sentences = {name: part for name, part in run.items() if name not in RUN}, list[str]()
    for name, check in RUN.items():
        if run.get(name) is None:
            continue
        whole = run[name]
        if name in EACH and isinstance(whole, list):
            fit[name] = [
                part
                for number, part in enumerate(whole)
                if _fits(EACH[name], part, f"{place}.{name}[{number}]", sentences)
            ]
        elif _fits(check, whole, f"{place}.{name}", sentences):
            fit[name] = whole
    return {name: fit[name] for name in run if name in fit}, sentences


def _fits(check: Check, part: object, place: str, sentences: list[str]) -> bool:
    try:
        check(part, place)
    except ValueError as error:
        sentences.append(str(error))
        return False
    return True


def _check_depth(content: object) -> None:
    """Raise ValueError for more than DEEPEST levels; the loop cannot overflow the stack."""
    level: list[object] = [content]
    for _ in range(DEEPEST):
        held = [one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, Mapping | list)]
        level = [part for parts in held for part in parts]
        if not level:
            return
    raise ValueError(f"it is nested more than {DEEPEST} deep")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number that JSON knows")


def _refuse(place: str, value: object, expected: str) -> NoReturn:
    raise ValueError(f"{place} is {shown(value)}, expected {expected}")


def _text(value: object, place: str) -> None:
    if not isinstance(value, str):
        _refuse(place, value, "a text")


def _number(value: object, place: str) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not _is_finite(value):
        _refuse(place, value, "a finite number")


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _scalar(value: object, place: str) -> None:
    if isinstance(value, Mapping | list):
        _refuse(place, value, "a text or a number")


def _line(value: object, place: str) -> None:
    """Check a command: one text, or a list of its words."""
    if isinstance(value, list):
        _list_of(_scalar)(value, place)
    else:
        _text(value, place)


def _or_none(check: Check) -> Check:
    return lambda value, place: None if value is None else check(value, place)


def _list_of(check: Check, length: int | None = None) -> Check:
    def fits(value: object, place: str) -> None:
        if not isinstance(value, list) or (length is not None and len(value) != length):
            _refuse(place, value, "a list" if length is None else f"a list of {length}")
        for number, part in enumerate(value):
            check(part, f"{place}[{number}]")

    return fits


def _mapping_to(check: Check) -> Check:
    def fits(value: object, place: str) -> None:
        if not isinstance(value, Mapping):
            _refuse(place, value, "an object")
        for name, part in value.items():
            check(part, f"{place}.{shown(name)}")

    return fits


def _record(form: Mapping[str, Check], needed: tuple[str, ...] = ()) -> Check:
    """A check of an object: the names in `form` have these forms. None counts as absent; `needed` names must exist."""

    def fits(value: object, place: str) -> None:
        if not isinstance(value, Mapping):
            _refuse(place, value, "an object")
        for name in needed:
            if value.get(name) is None:
                raise ValueError(f"{place} has no {name}")
        for name, check in form.items():
            if value.get(name) is not None:
                check(value[name], f"{place}.{name}")

    return fits


EFFECT = {
    "perturbation": _text,
    "factor": _number,
    "physics": _mapping_to(_number),
    "signals": _list_of(_text),
}

CHOICE = {
    **dict.fromkeys(("checkpoint", "task", "unit", "norm", "perturbation", "attack", "runner_up"), _text),
    **dict.fromkeys(("eps", "factor", "seed", "episodes"), _number),
    "mean_returns": _mapping_to(_or_none(_number)),
    "margin": _list_of(_or_none(_number), 3),
    "passed_over": _list_of(_text),
}
"""Form of the record of how an attack was chosen as the worst of a cell."""

CHOSEN = ("checkpoint", "task", "eps", "unit", "norm", "perturbation", "factor", "attack")

SEARCH = {
    **dict.fromkeys(("checkpoint", "task", "attack", "unit", "norm", "perturbation"), _text),
    **dict.fromkeys(("eps", "factor", "points", "steps", "seconds", "episodes", "seed", "held_out"), _number),
    "box": _mapping_to(_list_of(_number, 2)),
    **dict.fromkeys(("choosing", "fresh"), _mapping_to(_list_of(_or_none(_number), 3))),
    "curve": _list_of(_list_of(_or_none(_number), 3)),
}
"""What a search for the worst point of an uncertainty set tried and chose."""

SEARCHED = (
    *("checkpoint", "task", "attack", "eps", "perturbation", "factor"),
    *("box", "points", "steps", "seconds", "episodes", "seed"),
)

EACH: dict[str, Check] = {
    "effects": _record(EFFECT, ("perturbation", "factor")),
    "worst": _record(CHOICE, CHOSEN),
    "searched": _record(SEARCH, SEARCHED),
}
"""Lists in which only misfit items are dropped, with the check of an item."""

RUN: dict[str, Check] = {
    "command": _line,
    "versions": _mapping_to(_scalar),
    "conditions": _mapping_to(_or_none(_scalar)),
    "checkpoint": _text,
    "seconds": _number,
    "claim": _number,
    "effects": _list_of(_scalar),  # see EACH
    "worst": _list_of(_scalar),
    "searched": _list_of(_scalar),
    "critics": _mapping_to(_record({"sha256": _text}, ("sha256",))),
}
"""Form of one run: the names that reports read, with their checks."""
