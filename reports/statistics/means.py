"""Intervals of means without resampling, for all cells of a table at once.

Shapes: N values (episodes), C cells, and G training runs within a cell. benchmarks/coverage.py compares the coverage of
these intervals with that of a bootstrap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEVEL = 0.95

STRETCH = 1.5
"""Largest distance of an end from the mean after the correction for skewness, in multiples of Student's distance.

Ten episodes often have a sample skewness for which the correction alone would reach several times as far. With the
bound, intervals are 6 % longer on average and have the same coverage (benchmarks/coverage.py).
"""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its interval at `level` (NaN if there is none) and the number `n` of its values."""

    estimate: float
    low: float
    high: float
    level: float
    method: str
    n: int

    @property
    def half_width(self) -> float:
        """Half the distance from low to high; the interval need not be symmetric."""
        return (self.high - self.low) / 2


def mean_interval(values: npt.ArrayLike, *, groups: Sequence[object] | None = None, level: float = LEVEL) -> Interval:
    """The mean of episodes with its interval, over training runs if there are several.

    `groups` has one label per value, its training run. With two runs or more the mean is that of the runs' means, so
    every run has the same weight. The interval is then Student's t over these means with G - 1 degrees of freedom.
    Otherwise the interval is t over episodes, corrected for their skewness within STRETCH (Hall 1992, On the removal of
    skewness by transformation, J. R. Stat. Soc. B 54:221). One value gives no interval: low and high are NaN.

    Raises:
        ValueError: no values, values that are not finite, or another number of labels.
    """
    x, labels = checked(values, groups)
    means, low, high = mean_intervals(x, np.zeros(x.size, np.int64), labels, 1, level=level)
    runs = int(labels.max()) + 1
    method = f"t over {runs} runs" if runs > 1 else "skewness-corrected t over episodes"
    method = "one value" if x.size == 1 else method
    return Interval(estimate=means[0], low=low[0], high=high[0], level=level, method=method, n=x.size)


def mean_intervals(
    x: Floats, cell: Integers, run: Integers, cells: int, *, level: float = LEVEL
) -> tuple[Floats, Floats, Floats]:
    """The `mean_interval` of every cell: means, low and high, (C,) each; NaN for a cell without values.

    Args:
        x: (N,) finite.
        cell: (N,) from 0 to C - 1.
        run: (N,) the training run, from 0.
        cells: C.
        level: nominal coverage, between 0 and 1.
    """
    n = np.bincount(cell, minlength=cells)  # (C,)
    owner, place, size = by_run(cell, run)
    runs = np.bincount(owner, minlength=cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        levels = np.bincount(place, x, len(owner)) / size  # (P,) the mean of each run in each cell
        means = np.where(runs > 1, np.bincount(owner, levels, cells) / runs, np.bincount(cell, x, cells) / n)
        away = x - means[cell]  # (N,)
        between = np.bincount(owner, (levels - means[owner]) ** 2, cells)
        within, cubes = (np.asarray(np.bincount(cell, away**power, cells), np.float64) for power in (2, 3))
        units = np.where(runs > 1, runs, n)
        error = np.sqrt(np.where(runs > 1, between, within) / (units - 1) / units)  # (C,)
        skew = np.where(runs > 1, 0.0, _skewness(cubes, within, n))
        t = np.where(units > 1, stats.t.ppf((1 + level) / 2, np.maximum(units - 1, 1)), np.nan)
        low, high = (means - _corrected(u, skew / np.sqrt(n)) * error for u in (t, -t))
    return means, low, high


def by_run(cell: Integers, run: Integers) -> tuple[Integers, Integers, Integers]:
    """The P pairs of cell and training run that occur: their cells (P,), the pair of each value (N,), sizes (P,).

    Args:
        cell: (N,) from 0.
        run: (N,) the training run, from 0.
    """
    several = int(run.max(initial=0)) + 1
    pair, place, size = np.unique(cell * several + run, return_inverse=True, return_counts=True)
    return pair // several, place, size


def run_weights(groups: Sequence[object]) -> Floats:
    """The weights (N,) of episodes in a mean with equal weight for every training run; their sum is 1."""
    run = numbered(groups)
    size = np.bincount(run)
    return np.asarray(1 / (size.size * size[run]), np.float64)


def numbered(groups: Sequence[object]) -> Integers:
    """The labels as integers (N,) from 0, in order of first occurrence."""
    labels = pd.Series(list(groups), dtype="object")
    return np.asarray(pd.factorize(labels, use_na_sentinel=False)[0], np.int64)


def checked(values: npt.ArrayLike, groups: Sequence[object] | None) -> tuple[Floats, Integers]:
    """The values as floats and their labels as integers from 0; raises ValueError as `mean_interval` does."""
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        raise ValueError("an interval needs at least one value and only finite ones; leave the others out and say so.")
    labels = [0] * x.size if groups is None else list(groups)
    if len(labels) != x.size:
        raise ValueError(f"an interval of {x.size} values needs as many group labels, not {len(labels)}.")
    return x, numbered(labels)


def no_interval(method: str, n: int = 0) -> Interval:
    """An interval of NaN, with the reason as its method."""
    return Interval(estimate=math.nan, low=math.nan, high=math.nan, level=LEVEL, method=method, n=n)


def _skewness(cubes: Floats, squares: Floats, n: Integers) -> Floats:
    """Fisher's skewness of every cell (C,), adjusted for small samples (G1); 0 for up to two values or equal ones."""
    skew = np.sqrt(n * (n - 1)) / (n - 2) * (cubes / n) / (squares / n) ** 1.5
    return np.where((n > 2) & np.isfinite(skew), skew, 0.0)


def _corrected(t: Floats, k: Floats) -> Floats:
    """The u with g(u) = t for Hall's g(u) = u + k u²/3 + k² u³/27 + k/6, between 0 and STRETCH times t."""
    z = k * (t - k / 6)
    small = np.abs(k) < 1e-4  # the root formula divides by k
    root = np.where(small, (t - k / 6) * (1 - z / 3), 3 * (np.cbrt(1 + z) - 1) / np.where(small, 1.0, k))
    return np.asarray(np.sign(t) * np.clip(np.sign(t) * root, 0, STRETCH * np.abs(t)))
