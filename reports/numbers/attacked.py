"""What the text of an attack says: `pgd(steps=50)@2+5` is `pgd(steps=50)` on the sensors `2+5` alone."""

import re

import pandas as pd

NOISE = "random"
"""The attack that every search is measured by."""

_ON_SENSORS = re.compile(r"(?!adversary:)(?P<name>[^()@]+(\(.*\))?)@(?P<sensors>[^()@]+)", re.DOTALL)


def parted(attack: str) -> tuple[str, str]:
    """The attack without its sensors, and these as they are written; no sensors where it may touch all."""
    found = _ON_SENSORS.fullmatch(attack)
    return (found["name"], found["sensors"]) if found else (attack, "")


def is_oracle(attack: str) -> bool:
    """Whether the attack is the oracle, which looks into the simulator."""
    return re.fullmatch(r"oracle(\(.*\))?", parted(attack)[0], re.DOTALL) is not None


def names_of(attacks: pd.Series) -> pd.Series:
    """The attacks without their sensors."""
    return attacks.map({attack: parted(attack)[0] for attack in attacks.unique()}).astype(object)


def sensors_of(attacks: pd.Series) -> pd.Series:
    """The sensors of the attacks, empty where they may touch all."""
    return attacks.map({attack: parted(attack)[1] for attack in attacks.unique()}).astype(object)
