"""Parts of a perturbation: nominal factor and unit of the factors.

The JSON beside results describes every part. Without it the names in `KNOWN` are used, and any other part counts as a
multiple with nominal factor 1.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Part:
    """One perturbation of a composition; `unit` is empty for multiples and for the unit of observations."""

    nominal: float = 1.0
    unit: str = ""
    in_obs_units: bool = False


KNOWN: Mapping[str, Part] = {
    "action-bias": Part(nominal=0.0, unit="× half actuator range"),
    "action-noise": Part(nominal=0.0, unit="× half actuator range"),
    "latency": Part(nominal=0.0, unit="control steps"),
    "push": Part(nominal=0.0, unit="× weight"),
    "sensor-bias": Part(nominal=0.0, in_obs_units=True),
    "sensor-dropout": Part(nominal=0.0, unit="probability"),
    "sensor-noise": Part(nominal=0.0, in_obs_units=True),
    "wind": Part(nominal=0.0, unit="m/s"),
}
"""Added (not scaled) perturbations, for results without JSON."""


def described(runs: Iterable[Mapping[str, Any]]) -> dict[str, Part]:
    """The parts described in the JSON beside results; the newest run counts, and malformed entries are skipped."""
    groups = (run.get("perturbations") for run in runs)
    parts = [item for group in groups if isinstance(group, dict) for item in group.items()]
    return {name: part for name, about in parts if (part := _part(about)) is not None}


def _part(about: object) -> Part | None:
    if not isinstance(about, dict):
        return None
    nominal, unit, in_obs_units = (about.get(name) for name in ("nominal", "unit", "in_obs_units"))
    if not isinstance(nominal, int | float) or isinstance(nominal, bool) or not math.isfinite(nominal):
        return None
    if not isinstance(unit, str) or not isinstance(in_obs_units, bool):
        return None
    return Part(nominal=float(nominal), unit=unit, in_obs_units=in_obs_units)


def part_of(name: str, known: Mapping[str, Part]) -> Part:
    """The part of this name, which may include bodies (`mass@torso`) or the hash of a file (`mine:f#0f3a`)."""
    own = name.partition("@")[0].partition("#")[0]
    return known.get(own) or KNOWN.get(own, Part())


def measured_in(part: Part, unit: str) -> str:
    """The unit of a part's factors if observations have this `unit`; empty for a multiple."""
    return f"× {unit}" if part.in_obs_units and unit else part.unit


def label(name: str, nominal: float, unit: str) -> str:
    """The label of an axis: `friction (factor, 1 = nominal)` or `latency (control steps, 0 = nominal)`."""
    what = unit or ("factor" if nominal == 1 else "")
    return f"{name} ({', '.join(filter(None, [what, f'{nominal:.12g} = nominal']))})"
