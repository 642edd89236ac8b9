"""The worst of a suite of attacks, without selection bias: its rows have the attack name `worst`.

They are from the attack with the lowest mean on other episodes, measured on fresh ones. A minimum over noisy means is
biased downwards, while the fresh mean of the chosen attack is not. The JSON beside the results names the attack.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from reports.study.attacked import is_oracle, parted

WORST = "worst"
"""Name of the attack chosen from a suite, in results."""

CELL = ("checkpoint", "task", "eps", "unit", "norm", "perturbation", "factor")
"""Columns that identify the cell of a choice."""


def stands_apart(attack: str) -> bool:
    """Whether this attack is never a candidate for the worst: one on some sensors (`@…`), or the oracle."""
    return bool(parted(attack)[1]) or is_oracle(attack)


def candidates(conditions: pd.DataFrame) -> pd.DataFrame:
    """The candidates for the worst condition among one policy's conditions (rows of `summarize`).

    If `worst` was measured, these are its rows at the largest budget of each perturbation and factor: a larger budget
    contains the smaller ones. Otherwise they are all attacks that do not stand apart, or all attacks without another.
    """
    again = conditions[conditions["attack"] == WORST]
    if len(again):
        worlds = again.groupby(["unit", "norm", "perturbation", "factor"], sort=False)
        return again[again["eps"] == worlds["eps"].transform("max")]
    kept = conditions[~conditions["attack"].map(stands_apart).astype(bool)]
    return kept if len(kept) else conditions


def contenders(conditions: pd.DataFrame) -> pd.DataFrame:
    """The candidates of every policy, for the worst of a block of conditions."""
    return pd.concat([candidates(own) for _, own in conditions.groupby("policy", sort=False)])


def most(conditions: pd.DataFrame) -> int:
    """The largest number of candidates that any policy has in this block."""
    return int(contenders(conditions).groupby("policy").size().max()) if len(conditions) else 0


def by(condition: pd.Series) -> str:
    """The text ` by pgd` for a condition `worst` whose attack is recorded; empty for any other."""
    return f" by {condition['chosen']}" if condition["chosen"] else ""


def searched(conditions: pd.DataFrame) -> int:
    """The number of attacks among these conditions that are candidates for the worst, without `worst` itself."""
    return sum(not stands_apart(str(name)) for name in conditions["attack"].unique() if name not in (WORST, "none"))


def choices(runs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The recorded choices in the JSON beside results, the newest last; malformed records are skipped."""
    lists = (run.get("worst") for run in runs)
    return [one for listed in lists if isinstance(listed, list) for one in listed if _is_choice(one)]


def _is_choice(one: object) -> bool:
    if not isinstance(one, dict) or not {*CELL, "attack"} <= one.keys():
        return False
    return all(fits(one[name]) for name, fits in _FORM.items() if name in one)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_margin(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(one is None or _is_number(one) for one in value)


def _are_means(value: object) -> bool:
    return isinstance(value, dict) and all(one is None or _is_number(one) for one in value.values())


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_FORM = {
    **dict.fromkeys(("checkpoint", "task", "unit", "norm", "perturbation", "attack", "runner_up"), _is_text),
    **dict.fromkeys(("eps", "factor", "seed", "episodes"), _is_number),
    **{"mean_returns": _are_means, "passed_over": _are_names, "margin": _is_margin},
}
"""Form of a choice: names that reports read, with their checks."""


def chosen(episodes: pd.DataFrame, cells: int, runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The attacks behind the `worst` rows of every cell of a prepared table, (cells,); empty if not recorded."""
    attacks_of: dict[tuple[object, ...], dict[object, str]] = {}
    for one in choices(runs):
        key = tuple(one[name] if isinstance(one[name], str) else float(one[name]) for name in CELL)
        attacks_of.setdefault(key, {})[(one.get("seed"), one.get("episodes"))] = str(one["attack"])
    own = episodes.loc[(episodes["attack"] == WORST).to_numpy(), ["cell", *CELL]].drop_duplicates()
    names: list[dict[str, None]] = [{} for _ in range(cells)]
    for cell, *place in own.itertuples(index=False, name=None):
        names[int(cell)] |= dict.fromkeys(sorted(attacks_of.get(tuple(place), {}).values()))
    return [" and ".join(one) for one in names]
