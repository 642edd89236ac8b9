"""What a study found, in plain sentences computed from its numbers: the first thing a reader should see."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.study.conditions import changes_something
from reports.study.names import condition_name, number
from reports.study.worst import WORST, candidates, searched

NAMES = {
    "clean": ("clean", "clean"),
    "attack": ("attack", "attacks"),
    "perturbation": ("perturbation", "perturbations"),
    "attack and perturbation": ("attack under changed physics", "attacks under changed physics"),
}
"""Block of conditions → what one of it is called, and several."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A condition that the verdict on a policy rests on: the clean one, or the worst of a group.

    `cell` is its row of `summarize`, `of` the number of conditions it was chosen from, `budget` what they share;
    `is_fresh` tells that it was measured on other episodes than those that chose it.
    """

    cell: pd.Series
    of: int = 1
    budget: str = ""
    is_fresh: bool = False

    @property
    def name(self) -> str:
        """The condition, for example `fgsm eps 0.1`; of `worst` the attack that it is, if that is told."""
        chosen = self.cell["chosen"]
        return condition_name(pd.Series({**self.cell, "attack": chosen}) if chosen else self.cell)

    @property
    def title(self) -> str:
        """A heading of a few words, for example `Worst of 5 attacks at eps 0.1`."""
        one, several = NAMES[self.cell["block"]]
        at = f" at {self.budget.partition(' (')[0]}" if self.budget else ""
        return (f"Worst of {self.of} {several}" if self.of > 1 else one.capitalize()) + at

    @property
    def interval(self) -> str:
        """The interval of the mean, for example `[22.1, 23.2]`, or nothing."""
        return interval(self.cell["low"], self.cell["high"])

    @property
    def change(self) -> str:
        """The change to clean, for example `-6.1 [-6.6, -5.6] to clean, -21.1 %`."""
        return change(self.cell)

    @property
    def is_flagged(self) -> bool:
        """Whether an episode of it has a flag or no return."""
        return bool(self.cell["flags"]) or self.cell["left_out"] > 0


def findings(summary: pd.DataFrame) -> list[Finding]:
    """Of one policy's summary: the clean condition, the worst attack at each budget, the worst perturbation and both.

    What changes nothing (eps 0, the nominal factor) and what has no mean is passed over.
    """
    known = summary[summary["mean"].notna()]
    clean = [Finding(cell=cell) for _, cell in known[known["block"] == "clean"].iterrows()]
    return [*clean, *(_worst(cells) for cells in _groups(known[changes_something(known)]))]


def sentence(finding: Finding) -> str:
    """For example `Of 5 attacks at eps 0.1 (dataset-std, linf) the worst is fgsm eps 0.1: score 22.7 [22.1, …`."""
    cell, budget = finding.cell, f" at {finding.budget}" if finding.budget else ""
    if cell["block"] == "clean":
        return f"Undisturbed: {level(cell)} over {cell['n']} episodes.{_blemish(cell)}"
    one, several = NAMES[cell["block"]]
    of = f"Of {finding.of} {several}{budget} the worst" if finding.of > 1 else f"The only {one}{budget}"
    again = ", measured again on fresh episodes" if finding.is_fresh else ""
    text = f"{of} is {finding.name}{again}: {level(cell)}; {change(cell)}."
    if pd.isna(cell["change_low"]) and not pd.isna(cell["change"]):
        text += " One pair of episodes gives no interval, so it shows nothing."
    elif is_unclear(cell):
        text += " That lies within its interval: it shows neither a loss nor robustness."
    return text + _blemish(cell)


def level(cell: pd.Series) -> str:
    """For example `score 22.7 [22.1, 23.2]`."""
    return f"{cell['metric']} {cell['mean']:z.1f} {interval(cell['low'], cell['high'])}".rstrip()


def change(cell: pd.Series) -> str:
    """For example `-6.1 [-6.6, -5.6] to clean, -21.1 %`."""
    if pd.isna(cell["change"]):
        return "no clean episode to compare with"
    text = f"{cell['change']:z.1f} {interval(cell['change_low'], cell['change_high'])}".rstrip() + " to clean"
    return text if pd.isna(cell["change_percent"]) else f"{text}, {cell['change_percent']:z.1f} %"


def interval(low: float, high: float) -> str:
    """`[22.1, 23.2]`, or nothing where there is no interval."""
    return "" if pd.isna(low) else f"[{low:z.1f}, {high:z.1f}]"


def is_unclear(cell: pd.Series) -> bool:
    """Whether the interval of the change holds 0, or there is none."""
    return not (cell["change_high"] < 0 or cell["change_low"] > 0)


def limits(summary: pd.DataFrame) -> list[str]:
    """What no study of this kind shows, whatever its numbers are."""
    sentences = []
    if (summary["attack"] != "none").any():
        sentences.append(
            "A score under attack is an upper bound: it says what these attacks found at these budgets, not what a "
            "stronger one would find."
        )
    else:
        sentences.append("No attack on the observations was evaluated: nothing is said about them.")
    if (summary["perturbation"] == "none").all():
        sentences.append("No perturbation was evaluated: nothing is said about changed physics.")
    return sentences


def _groups(conditions: pd.DataFrame) -> Iterator[pd.DataFrame]:
    attacks = conditions[conditions["block"] == "attack"]
    for _, cells in attacks.groupby(["unit", "norm", "eps"]):
        yield cells
    for block in ("perturbation", "attack and perturbation"):
        if (conditions["block"] == block).any():
            yield conditions[conditions["block"] == block]


def _worst(cells: pd.DataFrame) -> Finding:
    running = candidates(cells)
    worst = running.iloc[int(running["aligned"].to_numpy(np.float64).argmin())]
    budget = f"eps {number(worst['eps'])} ({worst['unit']}, {worst['norm']})" if worst["block"] == "attack" else ""
    is_fresh = worst["attack"] == WORST and len(running) == 1
    of = max(searched(cells), 1) if is_fresh else len(running)
    return Finding(cell=worst, of=of, budget=budget, is_fresh=is_fresh)


def _blemish(cell: pd.Series) -> str:
    text = f" † Flagged: {cell['flags']}." if cell["flags"] else ""
    if cell["left_out"]:
        text += f" † Without {cell['left_out']} of {cell['n']} episodes, which have no return."
    return text
