"""What a search for the worst point of an uncertainty set tried and chose, as text cells."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from reports.rows.printable import LONGEST, cut, printable
from reports.study.grids import parts
from reports.study.names import attack_name, number, point_name, short
from reports.study.provenance import runs_of
from reports.study.summary import Study

CAPTION = (
    "Worst points that were searched for: the one with the lowest mean return on the episodes that choose, and what it "
    "leaves on fresh ones, which had no say in the choice and alone count as results. The choosing number is too low "
    "by what the choice owes to chance. Values are scores where a task has them, else returns [95 % interval]. The "
    "lowest mean return after so many points shows whether more points would still find lower ones."
)

MOST_ROWS = 60
"""Searches that a table shows; results.json has them all."""

MOST_FALLS = 5
"""Places of a curve that a table shows, the last ones."""


def search_table(study: Study) -> pd.DataFrame:
    """Text cells: policy, observations, box, worst point, both numbers, points, environment steps, seconds and curve.

    Without rows where no search is recorded; of two searches of the same box on the same episodes the later one counts.
    """
    names = dict(study.episodes[["checkpoint", "policy"]].drop_duplicates().itertuples(index=False, name=None))
    newest = {_identity(one): one for one in searches(runs_of(study.about)) if one["checkpoint"] in names}
    lines = [_line(str(names[one["checkpoint"]]), one) for one in list(newest.values())[-MOST_ROWS:]]
    return pd.DataFrame(lines).fillna("–")


def searches(runs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The searches that the JSON beside results records, the newest last."""
    return [one for run in runs for one in run.get("searched") or ()]


def _identity(one: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("checkpoint", "task", "attack", "eps", "unit", "norm", "seed", "episodes")
    return (*(one.get(name) for name in names), str(one["box"]))


def _line(policy: str, one: Mapping[str, Any]) -> dict[str, str]:
    kind = "score" if all("score" in (one.get(name) or {}) for name in ("choosing", "fresh")) else "return"
    texts = {
        "policy": policy,
        "observations": attack_name(pd.Series({"unit": "", "norm": "", **one})),
        "searched": ", ".join(_range(name, ends) for name, ends in one["box"].items()),
        "worst point": point_name(dict(parts(one["perturbation"], one["factor"]))),
        f"choosing {kind}": _interval((one.get("choosing") or {}).get(kind)),
        f"fresh {kind}": _interval((one.get("fresh") or {}).get(kind)),
        "points": str(one["points"]),
        "steps": f"{int(one['steps']):,}",
        "seconds": number(one["seconds"]),
        "lowest return after": _curve(one.get("curve") or []),
    }
    return {name: cut(printable(text.replace("\n", " ")), 4 * LONGEST) for name, text in texts.items()}


def _range(name: str, ends: list[float]) -> str:
    low, high = ends
    return f"{name} {short(low)} to {short(high)}" if low < high else f"{name} {short(low)}"


def _interval(values: list[float | None] | None) -> str:
    mean, low, high = values or [None] * 3
    if mean is None:
        return "–"
    return f"{mean:z.1f} (no interval)" if low is None or high is None else f"{mean:z.1f} [{low:z.1f}, {high:z.1f}]"


def _curve(curve: list[list[float | None]]) -> str:
    shown = [(points, lowest) for points, _, lowest in curve if points is not None and lowest is not None]
    return ", ".join(f"{int(points)}: {lowest:z.1f}" for points, lowest in shown[-MOST_FALLS:])
