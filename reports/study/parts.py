"""What is known of a perturbation beside its name: the factor that changes nothing, and what factors are measured in.

The JSON beside results tells it of every part of a perturbation. Without one only the names that are listed here are
known, and anything else is taken for a multiple.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing that is perturbed; `unit` is empty for a multiple and where it is the unit of observations."""

    nominal: float = 1.0
    unit: str = ""
    in_obs_units: bool = False


KNOWN: Mapping[str, Part] = {
    "action-noise": Part(nominal=0.0, unit="× half actuator range"),
    "latency": Part(nominal=0.0, unit="control steps"),
    "push": Part(nominal=0.0, unit="× weight"),
    "sensor-bias": Part(nominal=0.0, in_obs_units=True),
    "sensor-dropout": Part(nominal=0.0, unit="probability"),
    "sensor-noise": Part(nominal=0.0, in_obs_units=True),
    "wind": Part(nominal=0.0, unit="m/s"),
}
"""Of results without JSON: what is added rather than scaled."""


def described(runs: Iterable[Mapping[str, Any]]) -> dict[str, Part]:
    """The parts that the JSON beside results describes, the newest run's; what has another form is left out."""
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
    """What is known of a part by its name, which may name bodies (`mass@torso`) or say which file (`mine:f#0f3a`)."""
    own = name.partition("@")[0].partition("#")[0]
    return known.get(own) or KNOWN.get(own, Part())


def measured_in(part: Part, unit: str) -> str:
    """What factors of a part are measured in, where observations are measured in this unit; empty for a multiple."""
    return f"× {unit}" if part.in_obs_units and unit else part.unit


def label(name: str, nominal: float, unit: str) -> str:
    """For example `friction (factor, 1 = untouched)` or `latency (control steps, 0 = untouched)`."""
    what = unit or ("factor" if nominal == 1 else "")
    return f"{name} ({', '.join(filter(None, [what, f'{nominal:.12g} = untouched']))})"
