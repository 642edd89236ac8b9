"""Parts of an attack's text: `pgd(steps=50)@2+5` is `pgd(steps=50)` on the sensors `2+5` alone."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

NOISE = "random"
"""The attack that is the baseline of every search."""

_MARK = r"(#[0-9a-z+]+)?"  # marks one of several contents of a file (`marked`)
_ON_SENSORS = re.compile(rf"(?!adversary:)(?P<name>[^()@]+(\(.*\))?{_MARK})@(?P<sensors>[^()@]+)", re.DOTALL)


def parted(attack: str) -> tuple[str, str]:
    """The attack without its sensors, and the text of its sensors; the latter is empty for all sensors."""
    match = _ON_SENSORS.fullmatch(attack)
    return (match["name"], match["sensors"]) if match else (attack, "")


def readings(runs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The number of readings that each attack may change, for attacks described in the sidecar."""
    groups = (run.get("attacks") for run in runs)
    attacks = [item for group in groups if isinstance(group, dict) for item in group.items()]
    counts = {text: about.get("readings") for text, about in attacks if isinstance(about, dict)}
    return {text: count for text, count in counts.items() if isinstance(count, int)}


def is_oracle(attack: str) -> bool:
    """Whether the attack is the oracle, which uses copies of the simulator."""
    return re.fullmatch(rf"oracle(\(.*\))?{_MARK}", parted(attack)[0], re.DOTALL) is not None


def marked(attack: str, which: str) -> str:
    """The name with `#which` after it, before its sensors; the mark separates names of one text."""
    name, sensors = parted(attack)
    return f"{name}#{which}" + (f"@{sensors}" if sensors else "")


def names_of(attacks: pd.Series) -> pd.Series:
    """The attacks without their sensors."""
    return attacks.map({attack: parted(attack)[0] for attack in attacks.unique()}).astype(object)


def sensors_of(attacks: pd.Series) -> pd.Series:
    """The sensors of the attacks; empty for all sensors."""
    return attacks.map({attack: parted(attack)[1] for attack in attacks.unique()}).astype(object)
