"""What the text of an attack says: `pgd(steps=50)@2+5` is `pgd(steps=50)` on the sensors `2+5` alone."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

NOISE = "random"
"""The attack that every search is measured by."""

_MARK = r"(#[0-9a-z+]+)?"  # which content of a file, where there have been several (`marked`)
_ON_SENSORS = re.compile(rf"(?!adversary:)(?P<name>[^()@]+(\(.*\))?{_MARK})@(?P<sensors>[^()@]+)", re.DOTALL)


def parted(attack: str) -> tuple[str, str]:
    """The attack without its sensors, and these as they are written; no sensors where it may touch all."""
    match = _ON_SENSORS.fullmatch(attack)
    return (match["name"], match["sensors"]) if match else (attack, "")


def readings(runs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many readings each attack may touch, as far as the JSON beside results describes it."""
    groups = (run.get("attacks") for run in runs)
    attacks = [item for group in groups if isinstance(group, dict) for item in group.items()]
    counts = {text: about.get("readings") for text, about in attacks if isinstance(about, dict)}
    return {text: count for text, count in counts.items() if isinstance(count, int)}


def is_oracle(attack: str) -> bool:
    """Whether the attack is the oracle, which looks into the simulator."""
    return re.fullmatch(rf"oracle(\(.*\))?{_MARK}", parted(attack)[0], re.DOTALL) is not None


def marked(attack: str, which: str) -> str:
    """The attack, or any name, with a mark behind it that says which of several it is, in front of its sensors."""
    name, sensors = parted(attack)
    return f"{name}#{which}" + (f"@{sensors}" if sensors else "")


def names_of(attacks: pd.Series) -> pd.Series:
    """The attacks without their sensors."""
    return attacks.map({attack: parted(attack)[0] for attack in attacks.unique()}).astype(object)


def sensors_of(attacks: pd.Series) -> pd.Series:
    """The sensors of the attacks, empty where they may touch all."""
    return attacks.map({attack: parted(attack)[1] for attack in attacks.unique()}).astype(object)
