"""The verdict: the main findings of a study as sentences, computed from its numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.study.conditions import changes_something
from reports.study.names import condition_name, number
from reports.study.texts import interval
from reports.study.worst import WORST, candidates, searched

NAMES = {
    "clean": ("clean", "clean"),
    "attack": ("attack", "attacks"),
    "perturbation": ("perturbation", "perturbations"),
    "attack and perturbation": ("attack with a perturbation", "attacks with perturbations"),
}
"""Block of conditions → name of one condition, name of several."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A condition that the verdict on a policy names: the clean one, or the worst of a group.

    Attributes:
        cell: its row of `summarize`.
        of: the number of conditions it was chosen from.
        budget: the budget that these conditions share.
        is_fresh: whether it was measured on other episodes than those that chose it.
    """

    cell: pd.Series
    of: int = 1
    budget: str = ""
    is_fresh: bool = False

    @property
    def name(self) -> str:
        """The condition, for example `fgsm eps 0.1`. For `worst`, the chosen attack if results.json names it."""
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
        """The interval of the mean, for example `[22.1, 23.2]`; empty if there is none."""
        return interval(self.cell["low"], self.cell["high"])

    @property
    def change(self) -> str:
        """The change from clean, for example `Δ vs. clean -6.1 [-6.6, -5.6], -21.1 %`."""
        return change(self.cell)

    @property
    def is_flagged(self) -> bool:
        """Whether one of its episodes has a flag or no return."""
        return bool(self.cell["flags"]) or self.cell["left_out"] > 0


def findings(summary: pd.DataFrame) -> list[Finding]:
    """The clean condition, the worst attack at each budget, the worst perturbation, and the worst of both together.

    `summary` has the rows of one policy. Conditions at eps 0 or the nominal factor, or without a mean, are skipped.
    """
    known = summary[summary["mean"].notna()]
    clean = [Finding(cell=cell) for _, cell in known[known["block"] == "clean"].iterrows()]
    return [*clean, *(_worst(cells) for cells in _groups(known[changes_something(known)]))]


def sentence(finding: Finding) -> str:
    """A finding as text: `The worst of 5 attacks at eps 0.1 (dataset-std, linf) is fgsm eps 0.1: score 22.7 […`."""
    cell, budget = finding.cell, f" at {finding.budget}" if finding.budget else ""
    if cell["block"] == "clean":
        return f"Clean: {level(cell)} over {cell['n']} episodes.{_blemish(cell)}"
    one, several = NAMES[cell["block"]]
    subject = f"The worst of {finding.of} {several}{budget}" if finding.of > 1 else f"The only {one}{budget}"
    fresh = ", measured on fresh episodes" if finding.is_fresh else ""
    text = f"{subject} is {finding.name}{fresh}: {level(cell)}; {change(cell)}."
    if pd.isna(cell["change_low"]) and not pd.isna(cell["change"]):
        text += " One pair of episodes gives no interval, so this is not evidence."
    elif is_unclear(cell):
        text += " No significant change from clean (the 95 % interval includes 0), which is not evidence of robustness."
    return text + _blemish(cell)


def level(cell: pd.Series) -> str:
    """The mean with its interval, for example `score 22.7 [22.1, 23.2]`."""
    return f"{cell['metric']} {cell['mean']:z.1f} {interval(cell['low'], cell['high'])}".rstrip()


def change(cell: pd.Series) -> str:
    """The change from clean, for example `Δ vs. clean -6.1 [-6.6, -5.6], -21.1 %`."""
    if pd.isna(cell["change"]):
        return "no clean episode to compare with"
    text = f"Δ vs. clean {cell['change']:z.1f} {interval(cell['change_low'], cell['change_high'])}".rstrip()
    return text if pd.isna(cell["change_percent"]) else f"{text}, {cell['change_percent']:z.1f} %"


def is_unclear(cell: pd.Series) -> bool:
    """Whether the interval of the change includes 0, or there is no interval."""
    return not (cell["change_high"] < 0 or cell["change_low"] > 0)


def limits(summary: pd.DataFrame) -> list[str]:
    """Conclusions that these conditions cannot support, whatever their numbers are."""
    sentences = []
    if (summary["attack"] != "none").any():
        sentences.append(
            "A score under attack is an upper bound: a stronger attack with the same budget may reach a lower one."
        )
    else:
        sentences.append("No observation attack was evaluated: these results are not evidence of robustness to one.")
    if (summary["perturbation"] == "none").all():
        sentences.append("No perturbation was evaluated: these results are not evidence of robustness to one.")
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
        text += f" † {cell['left_out']} of {cell['n']} episodes have no return and are left out of the mean."
    return text
