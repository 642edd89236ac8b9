"""The search for the budget that halves the score: the next budget to measure, and when to stop.

The search doubles the budget until the mean is at most half of clean, then bisects the interval of the first crossing.
Every budget is measured on the same episodes. The mean curve need not be monotonic; the first crossing counts, as in
`budgets`.

Shapes: N episodes, K budgets, clean as the budget 0 in front of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.statistics.means import Floats, mean_interval, run_weights

RESOLUTION = 0.05
"""Largest distance of two budgets, relative to the larger, at which the search ends."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The next budget of a search; or None, with the reason `why` it ends.

    `between` holds the two measured budgets around the half, if the score falls so far. Values of `why`:

    - "resolved": these budgets are near enough.
    - "episodes": neither mean differs significantly from half of clean.
    - "budgets": the maximum number of budgets was measured.
    - "not reached": the same, and the score never halved.
    - "no half": the clean mean is not positive.
    """

    next: float | None = None
    why: str = ""
    between: tuple[float, float] | None = None


def next_step(eps: Floats, values: Floats, groups: Sequence[object], *, most: int) -> Step:
    """The next step of a search after these budgets.

    Args:
        eps: (K + 1,) ascending, the first 0.
        values: (N, K + 1) finite; a row is one episode under every budget.
        groups: (N,) the training run of each episode.
        most: maximum of K.
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
    """Whether the interval of the mean distance to half includes 0, or there is no interval."""
    distance = mean_interval(above, groups=groups)
    return not (distance.low > 0 or distance.high < 0)


def _plain(eps: float) -> float:
    """The budget rounded to 12 digits, since it is typed and stored."""
    return float(f"{eps:.12g}")
