"""Which budget to measure next to find the one that halves the score, and when no further one would help.

Doubling until the mean has fallen to half of clean, then halving the interval in which it first does so. Every budget
is measured on the same episodes. The mean curve need not fall everywhere, so what counts is the first crossing, as in
`budgets`.

Shapes: N episodes, K budgets, clean as the budget 0 in front of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.statistics.means import Floats, mean_interval, run_weights

RESOLUTION = 0.05
"""Budgets this near to each other, relative to the larger, are near enough."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The next budget, or None and why there is none; and between which measured budgets the score halves, if it does.

    `why` is "resolved" (these are near enough), "episodes" (the means at both cannot be told from half of clean),
    "budgets" (as many as allowed were measured), "not reached" (so many, and the score never halved) or "no half" (the
    clean mean is not positive).
    """

    next: float | None = None
    why: str = ""
    between: tuple[float, float] | None = None


def next_step(eps: Floats, values: Floats, groups: Sequence[object], *, most: int) -> Step:
    """What the budgets measured so far call for.

    Args:
        eps: (K + 1,) ascending, the first 0.
        values: (N, K + 1) finite; a row is one episode under every budget.
        groups: (N,) the training run of each episode.
        most: K that must not be exceeded.
    """
    means = run_weights(groups) @ values  # (K + 1,)
    if means[0] <= 0:
        return Step(why="no half")
    is_last = len(eps) - 1 >= most
    halved = np.flatnonzero(means <= means[0] / 2)
    if not halved.size:
        return Step(why="not reached") if is_last else Step(next=_plain(2 * eps[-1]))
    place = int(halved[0])
    low, high = float(eps[place - 1]), float(eps[place])
    if high - low <= RESOLUTION * high:
        return Step(why="resolved", between=(low, high))
    if all(_is_unclear(values[:, one] - values[:, 0] / 2, groups) for one in (place - 1, place)):
        return Step(why="episodes", between=(low, high))
    if is_last:
        return Step(why="budgets", between=(low, high))
    return Step(next=_plain((low + high) / 2 if low else high / 4), between=(low, high))


def _is_unclear(above: Floats, groups: Sequence[object]) -> bool:
    """Whether the interval of the mean distance to half holds 0, or there is none."""
    distance = mean_interval(above, groups=groups)
    return not (distance.low > 0 or distance.high < 0)


def _plain(eps: float) -> float:
    """Without the last digits of a sum of halves: a budget is read, typed and stored."""
    return float(f"{eps:.12g}")
