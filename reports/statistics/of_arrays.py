"""Statistics of scores as functions of an array and an axis, so a bootstrap evaluates all resamples at once.

Scores are normalized (0 = random, 100 = expert) and never clipped.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

TARGET = 100.0
"""The expert's score."""

WORST = 0.1
"""The share of the lowest values that CVaR averages."""


class Statistic(Protocol):
    """A statistic of the values along an axis."""

    @property
    def __name__(self) -> str: ...

    def __call__(self, values: Floats, axis: int = -1) -> Floats: ...  # noqa: D102 - the class says it


def mean(values: Floats, axis: int = -1) -> Floats:
    """Arithmetic mean."""
    return np.asarray(np.mean(values, axis=axis))


def median(values: Floats, axis: int = -1) -> Floats:
    """Middle value, or the mean of the two middle ones."""
    return np.asarray(np.median(values, axis=axis))


def iqm(values: Floats, axis: int = -1) -> Floats:
    """Interquartile mean: floor(N/4) values are dropped at either end (Agarwal et al. 2021, arXiv:2108.13264)."""
    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))


def cvar(values: Floats, axis: int = -1, share: float = WORST) -> Floats:
    """Conditional value at risk: the mean of the lowest `share` of the values.

    If share·N is not an integer, the last value has a fractional weight. For N = 15 and share .1 the result is
    (x₍₁₎ + x₍₂₎/2) / 1.5. Source: Rockafellar and Uryasev 2002, on scenario models.
    """
    ordered = np.sort(values, axis=axis)
    count = share * ordered.shape[axis]
    weights = np.clip(count - np.arange(ordered.shape[axis]), 0, 1) / count  # (N,)
    return np.asarray(np.moveaxis(ordered, axis, -1) @ weights)


def optimality_gap(values: Floats, axis: int = -1, target: float = TARGET) -> Floats:
    """The optimality gap: the mean of max(target - x, 0) (Agarwal et al. 2021)."""
    return np.asarray(np.mean(np.maximum(target - values, 0), axis=axis))


def normalized_std(return_std: float, random_return: float, expert_return: float) -> float:
    """The standard deviation of normalized scores: the return's, times 100 / (expert - random).

    A standard deviation is scaled but not shifted; the score formula would also subtract the random policy's return.
    """
    return 100 * return_std / (expert_return - random_return)


def performance_profile(values: Floats, thresholds: Floats) -> Floats:
    """The share of the values above each threshold, (T,) (Agarwal et al. 2021, run-score distribution).

    It falls from 1 to 0; its area from 0 to 100 is the mean of the scores clipped to that range.
    """
    return np.asarray(np.mean(values[:, None] > thresholds, axis=0))


def improvement_probability(x: Floats, y: Floats) -> float:
    """The probability that a value of x is larger than one of y, ties counting half: U / (N M).

    Mann and Whitney 1947; the probability of improvement of Agarwal et al. 2021 for one task.
    """
    ordered = np.sort(y)
    below, not_above = (np.searchsorted(ordered, x, side=side) for side in ("left", "right"))
    return float(np.mean(below + not_above) / (2 * len(y)))


def curve_area(x: Floats, y: Floats, axis: int = -1) -> Floats:
    """Mean height of the curve through the points (x, y), in units of y: trapezoids over the range of x, divided by it.

    `x` is (K,) and ascending, `y` has K values along the axis.
    """
    return np.asarray(np.trapezoid(y, x, axis=axis) / (x[-1] - x[0]))
