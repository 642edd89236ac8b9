"""`--attack worst` runs every attack of the suite on some episodes, and the strongest of each cell on fresh ones.

The minimum over several means is biased: it is too low by their chance errors. So one set of episodes, equal for all
attacks, chooses the attack, and a held-out set measures it; the clean policy runs on both. Held-out seeds are far from
those of every command, so that the episodes of one command never choose what another one measures.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from microbench.errors import UserError
from microbench.evaluation.plan import CLEAN, HELD_OUT, HELD_OUT_BLOCK, Cell, Episode, held_out, plan_episodes
from microbench.studies.stages import Stage, Stages
from reports.rows.schema import EXCUSES
from reports.study.scores import paired_difference
from reports.study.worst import CELL, WORST, choices, stands_apart


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The strongest attack of a cell, and the record of its choice for results.json (`about`)."""

    cell: Cell
    about: Mapping[str, Any]

    @property
    def measured(self) -> Cell:
        """The cell in which the chosen attack is measured again; results call it `worst`."""
        return replace(self.cell, attack=str(self.about["attack"]), alias=WORST)


def is_worst(text: str) -> bool:
    """Whether the text of an attack is `worst`.

    Raises:
        UserError: the text gives `worst` settings or sensors.
    """
    if re.match(rf"{WORST}\s*[(@]", text):
        raise UserError(f"'{text}': worst has no settings and no sensors, it runs the suite as it is; write worst.")
    return text == WORST


def searched(cells: Iterable[Cell], suite: Sequence[str]) -> list[Cell]:
    """The cells, with the whole suite in place of `worst`."""
    there = list(dict.fromkeys(cells))
    worst = [cell for cell in there if cell.attack == WORST]
    wanted = [replace(cell, attack=name) for name in suite for cell in worst]
    return list(dict.fromkeys([*(cell for cell in there if cell.attack != WORST), *wanted]))


def suite_of(cells: Iterable[Cell], suite: Sequence[str]) -> list[str]:
    """The suite, and every other attack of the cells from which `worst` chooses."""
    named = (cell.attack for cell in cells if cell.attack not in ("none", WORST))
    return list(dict.fromkeys([*suite, *(name for name in named if not stands_apart(name))]))


def worst_of(cells: Sequence[Cell], suite: Sequence[str], n: int, seed: int) -> Stages:
    """Run every attack on n episodes from `seed` on, then the strongest of each cell on n from `held_out(seed)` on.

    The clean policy runs on both.

    Raises:
        UserError: the suite is empty, or the episodes that choose would overlap with held-out ones.
    """
    worst = list(dict.fromkeys(cell for cell in cells if cell.attack == WORST))
    if not suite:
        raise UserError("worst has no attack to choose from; name one that this policy can serve beside it.")
    check_apart(WORST, n, seed)
    both = {replace(cell, attack="none", eps=0.0) for cell in worst} | {CLEAN}
    planned = [
        episode
        for cell in searched(cells, suite)
        for first in (seed, *([held_out(seed)] if cell in both else []))
        for episode in plan_episodes([cell], n, first)
    ]
    rows = yield Stage(episodes=planned, later=n * len(worst))
    strongest = choose(rows, worst, suite, n, seed)
    metadata = {"worst": [choice.about for choice in strongest]}
    yield Stage(episodes=fresh(strongest, n, seed), title=WORST, metadata=metadata)
    return metadata


def check_apart(name: str, n: int, seed: int) -> None:
    """Raise UserError where n episodes from `seed` on, that choose, would meet those from `held_out(seed)` on."""
    if seed + n > HELD_OUT or n > HELD_OUT_BLOCK:
        raise UserError(
            f"{name} chooses on episodes below seed {HELD_OUT:,} and measures on at most {HELD_OUT_BLOCK:,} above it; "
            "give a smaller --seed, or fewer --episodes."
        )


def fresh(strongest: Sequence[Choice], n: int, seed: int) -> list[Episode]:
    """The episodes that measure what was chosen on those from `seed`."""
    return plan_episodes([choice.measured for choice in strongest], n, held_out(seed))


def choose(rows: pd.DataFrame, cells: Sequence[Cell], suite: Sequence[str], n: int, seed: int) -> list[Choice]:
    """The attack of the suite with the lowest mean return in every cell, from the rows of all attacks.

    Of equal means it takes the first of the suite. It skips an attack with an episode that ended early by a flag
    (`nan-…`, `unstable-…`), unless all have one, because such a return is not that of a complete episode.

    Raises:
        ValueError: the attacks were not measured on the same n episodes.
    """
    world = ["eps", "perturbation", "factor"]
    groups = dict(list(rows[rows["attack"] != "none"].groupby(["attack", *world], sort=False)))
    return [
        _choice(cell, {name: groups.get((name, cell.eps, cell.perturbation, cell.factor)) for name in suite}, n, seed)
        for cell in cells
    ]


def _choice(cell: Cell, measured: Mapping[str, pd.DataFrame | None], n: int, seed: int) -> Choice:
    seeds = [seed + number for number in range(n)]
    for name, rows in measured.items():
        if rows is None or sorted(rows["eval_seed"]) != seeds:
            raise ValueError(f"{name} was not measured on the {n} episodes of the others, so no attack can be chosen.")
    known = {name: rows for name, rows in measured.items() if rows is not None}
    means = {name: math.fsum(rows["return"]) / n for name, rows in known.items()}
    whole = [name for name, rows in known.items() if not rows["flags"].map(broke_off).any()] or list(known)
    first, *others = sorted(whole, key=lambda name: _strength(means[name]))  # of equals the first of the suite
    about = {name: known[first][name].iloc[0] for name in CELL} | {"eps": cell.eps, "factor": cell.factor}
    record: dict[str, Any] = {"attack": first, "mean_returns": {name: _finite(mean) for name, mean in means.items()}}
    record |= {"passed_over": [name for name in known if name not in whole]}
    record |= {"runner_up": others[0], "margin": _margin(known[others[0]], known[first])} if others else {}
    return Choice(cell=cell, about=about | record | {"seed": seed, "episodes": n, "held_out": held_out(seed)})


def broke_off(flags: str) -> bool:
    """Whether an episode with these flags is no complete one: what it earned says nothing of the policy."""
    return any(flag.startswith(EXCUSES) for flag in flags.split(";"))


def _strength(mean: float) -> float:
    return math.inf if math.isnan(mean) else mean


def _margin(weaker: pd.DataFrame, stronger: pd.DataFrame) -> list[float | None]:
    """The mean return under the runner-up minus that under the strongest, with its 95 % interval over episodes."""
    difference = paired_difference(weaker, stronger, value="return")
    return [_finite(value) for value in (difference.estimate, difference.low, difference.high)]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def is_current(about: Mapping[str, Any], runs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the newest run that chose an attack for this cell chose the same one on the same episodes.

    Otherwise rows named `worst` may belong to another attack.
    """
    same = [one for one in choices(runs) if all(one[name] == about[name] for name in CELL)]
    return bool(same) and all(same[-1].get(name) == about[name] for name in ("attack", "seed", "episodes", "held_out"))
