"""Intervals of any statistic by resampling training runs and their episodes.

Shapes: N values (episodes) of G groups (training runs), R resamples, K conditions.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from reports.numbers.means import LEVEL, Floats, Interval, checked
from reports.numbers.statistics import Statistic, mean

BOOTSTRAP_SEED = 20231203
"""Seed of the generator used where none is given: one file gives one table, whoever computes it."""

RESAMPLES = 2000
_BLOCK = 2**22  # resampled values held at a time: bounds the memory, not the result's meaning


def bootstrap_interval(
    values: npt.ArrayLike,
    statistic: Statistic = mean,
    *,
    groups: Sequence[object] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    generator: np.random.Generator | None = None,
) -> Interval:
    """Expanded percentile bootstrap of a statistic over episodes, or over training runs and their episodes.

    For a mean, `mean_interval` holds its level more often.

    With `groups` (one label per value, a training run each) a resample draws runs first, in proportion to their
    episodes, then episodes within them. A plain percentile interval of ten values is some 15 % too short, so the
    percentiles are moved out to Φ(±√(k/(k-1))·t₍k₋₁₎), k the number of runs, or of episodes if there is one run
    (the expanded percentile interval of Hesterberg 2015, arXiv:1411.5279). One value gives no interval: low and
    high are NaN. No resample reaches beyond the runs at hand, so with fewer than five the interval is too short.

    Args:
        values: (N,) finite.
        statistic: function of (R, N) and axis -1.
        groups: (N,) hashable labels, or None for one run.
        level: coverage aimed at, between 0 and 1.
        resamples: R.
        generator: randomness; default_rng(BOOTSTRAP_SEED) if None.

    Raises:
        ValueError: no values, or values that are not finite.
    """
    x, runs = checked(values, groups)  # (N,) each
    order = np.argsort(runs, kind="stable")
    sizes = np.unique(runs, return_counts=True)[1]  # (G,)
    units = sizes.size if sizes.size > 1 else x.size
    estimate = float(statistic(x))
    if units == 1:
        return Interval(estimate=estimate, low=math.nan, high=math.nan, level=level, method="one value", n=x.size)
    draws = _resampled(x[order], tuple(sizes.tolist()), statistic, resamples, generator)
    low, high = expanded(draws, units, level)
    method = "bootstrap over episodes" if sizes.size == 1 else f"bootstrap over {sizes.size} runs and their episodes"
    return Interval(estimate=estimate, low=low, high=high, level=level, method=method, n=x.size)


def expanded(draws: Floats, units: int, level: float = LEVEL) -> tuple[float, float]:
    """Both ends of the expanded percentile interval of draws, which may be infinite; `units` are runs or episodes."""
    widen = math.sqrt(units / (units - 1)) * stats.t.ppf((1 + level) / 2, units - 1)
    places = (stats.norm.cdf(-widen), stats.norm.cdf(widen))
    if np.isfinite(draws).all():
        return float(np.quantile(draws, places[0])), float(np.quantile(draws, places[1]))
    ordered = np.sort(draws)  # nothing lies between a number and infinity
    low, high = (ordered[int(np.ceil(place * len(ordered))) - 1] for place in places)
    return float(low), float(high)


def resampled_means(
    values: Floats,
    groups: Sequence[object],
    *,
    resamples: int = RESAMPLES,
    generator: np.random.Generator | None = None,
) -> Floats:
    """Means (R, K) of resampled rows of (N, K) values, runs first and then their episodes: a row stays whole.

    What is made of the means keeps the pairing of conditions. Randomness as in `bootstrap_interval`.
    """
    runs = pd.factorize(pd.Series(list(groups), dtype="object"), use_na_sentinel=False)[0]
    ordered, sizes = values[np.argsort(runs, kind="stable")], tuple(np.bincount(runs).tolist())
    generator = generator or np.random.default_rng(BOOTSTRAP_SEED)
    block, n = max(1, _BLOCK // len(values)), len(values)
    means = []
    for rows in (min(block, resamples - done) for done in range(0, resamples, block)):
        places = drawn(sizes, rows, generator) + n * np.arange(rows)[:, None]
        means.append(np.bincount(places.ravel(), minlength=rows * n).reshape(rows, n) @ ordered / n)
    return np.concatenate(means)


def _resampled(
    values: Floats, sizes: tuple[int, ...], statistic: Statistic, resamples: int, generator: np.random.Generator | None
) -> Floats:
    """The statistic of every resample, (R,); `values` are sorted by group."""
    block = max(1, _BLOCK // values.size)
    if generator is None and resamples <= block:
        return statistic(values[_commondrawn(sizes, resamples)], axis=-1)
    generator = generator or np.random.default_rng(BOOTSTRAP_SEED)
    rows = [min(block, resamples - done) for done in range(0, resamples, block)]
    return np.concatenate([statistic(values[drawn(sizes, count, generator)], axis=-1) for count in rows])


def drawn(sizes: tuple[int, ...], rows: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Positions drawn among values sorted by run, (rows, N): a run for each run's place, then episodes of that run."""
    size = np.array(sizes)  # (G,)
    starts = np.cumsum(size) - size  # (G,)
    group = np.repeat(np.arange(size.size), size)  # (N,)
    drawn = group[generator.integers(group.size, size=(rows, size.size))]  # (rows, G)
    drawn = drawn[:, group]  # (rows, N)
    inside = (generator.random(drawn.shape) * size[drawn]).astype(np.int64)
    return np.asarray(starts[drawn] + inside, np.int64)


@functools.lru_cache(maxsize=2)
def _commondrawn(sizes: tuple[int, ...], resamples: int) -> npt.NDArray[np.int64]:
    """What the default generator draws; the same for every cell of a table, so it is drawn once."""
    return drawn(sizes, resamples, np.random.default_rng(BOOTSTRAP_SEED))
