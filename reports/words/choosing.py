"""Notes on how the attack of a `worst` row was chosen, from the JSON beside the results."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from reports.study.names import condition_name, listed
from reports.study.worst import WORST, choices, stands_apart

CELL = ["eps", "unit", "norm", "perturbation", "factor"]


Records = Mapping[tuple[object, ...], list[Mapping[str, Any]]]
"""Cell → the choices recorded for it in the JSON beside the results."""


def records(runs: Iterable[Mapping[str, Any]], checkpoints: Iterable[str]) -> Records:
    """The recorded choices for these policy files, by cell."""
    own, by_cell = set(checkpoints), dict[tuple[object, ...], list[Mapping[str, Any]]]()
    for one in choices(runs):
        if one["checkpoint"] in own:
            by_cell.setdefault(tuple(one[name] for name in CELL), []).append(one)
    return by_cell


def checkpoints_of(episodes: pd.DataFrame, policy: str) -> list[str]:
    """The hashes of the policy files that a policy's episodes come from."""
    return [str(name) for name in episodes.loc[episodes["policy"] == policy, "checkpoint"].unique()]


def choice_notes(conditions: pd.DataFrame, by_cell: Records) -> list[str]:
    """Warnings about the `worst` rows among one policy's conditions."""
    again = conditions[conditions["attack"] == WORST]
    sentences = [
        judge(row, others, by_cell) for row, others in _beside(again, conditions) for judge in (_stronger, _unlucky)
    ]
    sentences += [_passed_over(row, by_cell) for _, row in again.iterrows()]
    unknown = [condition_name(row) for _, row in again[again["chosen"] == ""].iterrows()]
    if unknown:
        sentences.append(
            f"the attack behind {listed(unknown)} is unknown: the JSON beside the results does not name it."
        )
    random = [condition_name(row) for _, row in again[again["flags"].str.contains("stochastic-policy")].iterrows()]
    if random:
        sentences.append(
            f"the attack behind {listed(random)} depends on chance: the policy is stochastic, so the strongest attack "
            "may differ between episodes."
        )
    return [sentence for sentence in sentences if sentence]


def _beside(again: pd.DataFrame, conditions: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    """Every `worst` row with the candidate attacks of the same cell."""
    for _, row in again.iterrows():
        same = conditions[(conditions[CELL] == row[CELL]).all(axis=1) & ~conditions["attack"].isin([WORST, "none"])]
        yield row, same[~same["attack"].map(stands_apart).astype(bool)]


def _tried(worst: pd.Series, by_cell: Records) -> set[str]:
    return {name for one in by_cell.get(tuple(worst[CELL]), []) for name in one.get("mean_returns") or ()}


def _unlucky(worst: pd.Series, others: pd.DataFrame, by_cell: Records) -> str:
    """A note if a candidate is significantly stronger than the chosen attack; empty if none is."""
    below = others[(others["high"] < worst["low"]) & others["attack"].isin(_tried(worst, by_cell))]
    if below.empty:
        return ""
    names = [condition_name(row) for _, row in below.iterrows()]
    return (
        f"the interval of {listed(names)} lies below that of {condition_name(worst)}, so the choice was chance: "
        "evaluate both with more --episodes."
    )


def _stronger(worst: pd.Series, others: pd.DataFrame, by_cell: Records) -> str:
    tried = _tried(worst, by_cell)
    below = others[(others["aligned"] < worst["aligned"]) & ~others["attack"].isin(tried)] if tried else others.iloc[:0]
    if below.empty:
        return ""
    names = [condition_name(row) for _, row in below.iterrows()]
    return (
        f"{listed(names)} has a lower mean than {condition_name(worst)}, which was chosen without it: evaluate it "
        "together with --attack worst."
    )


def _passed_over(worst: pd.Series, by_cell: Records) -> str:
    names = {str(name) for one in by_cell.get(tuple(worst[CELL]), []) for name in one.get("passed_over") or ()}
    if not names:
        return ""
    return (
        f"{listed(sorted(names))} was excluded from the choice of {condition_name(worst)}: some of its episodes ended "
        "with an error, so their returns are not those of complete episodes."
    )
