"""Bootstrap intervals of any statistic: training runs are resampled, then their episodes.

Shapes: N values (episodes) of G groups (training runs), R resamples, K conditions.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from reports.statistics.means import LEVEL, Floats, Interval, checked, numbered
from reports.statistics.of_arrays import Statistic, mean

BOOTSTRAP_SEED = 20231203
"""Seed of the default generator: a file gives the same table everywhere."""

RESAMPLES = 2000
REPEATED = 20
"""Maximum number of places per run in `balanced`, in multiples of the largest run."""

_BLOCK = 2**22  # resampled values per block; limits the memory, not the result


def bootstrap_interval(
    values: npt.ArrayLike,
    statistic: Statistic = mean,
    *,
    groups: Sequence[object] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    generator: np.random.Generator | None = None,
) -> Interval:
    """The expanded percentile bootstrap of a statistic over episodes, or over training runs and their episodes.

    For a mean, use `mean_interval`, whose coverage is better. A resample draws runs first, then episodes within them.
    Every run has the same weight: the episodes of smaller runs are repeated (see `balanced`).

    A plain percentile interval of ten values is some 15 % too short. The percentiles are therefore
    Φ(±√(k/(k-1))·t₍k₋₁₎), where k is the number of runs, or of episodes if there is one run (Hesterberg 2015,
    arXiv:1411.5279). One value gives no interval: low and high are NaN. With fewer than five runs the interval is too
    short, because resamples contain only these runs.

    Args:
        values: (N,) finite.
        statistic: function of (R, N) and axis -1.
        groups: (N,) hashable labels of training runs, or None for one run.
        level: nominal coverage, between 0 and 1.
        resamples: R.
        generator: randomness; default_rng(BOOTSTRAP_SEED) if None.

    Raises:
        ValueError: no values, or values that are not finite.
    """
    x, runs = checked(values, groups)  # (N,) each
    order = np.argsort(runs, kind="stable")
    sizes = np.unique(runs, return_counts=True)[1]  # (G,)
    units = sizes.size if sizes.size > 1 else x.size
    ordered, even = x[order], balanced(tuple(sizes.tolist()))
    estimate = float(statistic(ordered[even.ravel()]))
    if units == 1:
        return Interval(estimate=estimate, low=math.nan, high=math.nan, level=level, method="one value", n=x.size)
    draws = _resampled(ordered, tuple(sizes.tolist()), statistic, resamples, generator)
    low, high = expanded(draws, units, level)
    method = "bootstrap over episodes" if sizes.size == 1 else f"bootstrap over {sizes.size} runs and their episodes"
    return Interval(estimate=estimate, low=low, high=high, level=level, method=method, n=x.size)


def expanded(draws: Floats, units: int, level: float = LEVEL) -> tuple[float, float]:
    """Low and high of the expanded percentile interval of draws (may be infinite); `units` counts runs or episodes."""
    widen = math.sqrt(units / (units - 1)) * stats.t.ppf((1 + level) / 2, units - 1)
    places = (stats.norm.cdf(-widen), stats.norm.cdf(widen))
    if np.isfinite(draws).all():
        return float(np.quantile(draws, places[0])), float(np.quantile(draws, places[1]))
    ordered = np.sort(draws)  # interpolation with infinity is undefined
    low, high = (ordered[int(np.ceil(place * len(ordered))) - 1] for place in places)
    return float(low), float(high)


def resampled_means(
    values: Floats,
    groups: Sequence[object],
    *,
    resamples: int = RESAMPLES,
    generator: np.random.Generator | None = None,
) -> Floats:
    """The means (R, K) of resampled rows of (N, K) values; runs are drawn first, then their episodes.

    Rows stay whole, so functions of the means keep the pairing of conditions. Randomness is as in `bootstrap_interval`.
    """
    runs = numbered(groups)
    ordered, sizes = values[np.argsort(runs, kind="stable")], tuple(np.bincount(runs).tolist())
    generator = generator or np.random.default_rng(BOOTSTRAP_SEED)
    n, places, block = len(values), balanced(sizes).size, rows_at_once(sizes)
    means = []
    for rows in (min(block, resamples - done) for done in range(0, resamples, block)):
        positions = drawn(sizes, rows, generator) + n * np.arange(rows)[:, None]
        means.append(np.bincount(positions.ravel(), minlength=rows * n).reshape(rows, n) @ ordered / places)
    return np.concatenate(means)


def balanced(sizes: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Positions (G, M) among values sorted by run: every run has M places, which its episodes share evenly.

    M is the least common multiple of the sizes (G,), so all episodes of a run have one weight. M is at most `REPEATED`
    times the largest size; at that limit, weights within a run differ by at most a part in REPEATED.
    """
    size = np.array(sizes)
    places = min(math.lcm(*sizes), REPEATED * max(sizes))
    starts = np.cumsum(size) - size
    return np.asarray(starts[:, None] + np.arange(places) * size[:, None] // places, np.int64)


def _resampled(
    values: Floats, sizes: tuple[int, ...], statistic: Statistic, resamples: int, generator: np.random.Generator | None
) -> Floats:
    """The statistic of every resample, (R,); `values` are sorted by group."""
    block = rows_at_once(sizes)
    if generator is None and resamples <= block:
        return statistic(values[_default_positions(sizes, resamples)], axis=-1)
    generator = generator or np.random.default_rng(BOOTSTRAP_SEED)
    rows = [min(block, resamples - done) for done in range(0, resamples, block)]
    return np.concatenate([statistic(values[drawn(sizes, count, generator)], axis=-1) for count in rows])


def rows_at_once(*sizes: tuple[int, ...]) -> int:
    """The number of resamples per block, for tables with these sizes of runs."""
    return max(1, _BLOCK // sum(balanced(one).size for one in sizes))


def drawn(sizes: tuple[int, ...], rows: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Resampled positions (rows, G·M) among values sorted by run: G runs are drawn, then episodes for M places each.

    All runs are equally likely. The number of drawn episodes of a run is its size (M as in `balanced`).
    """
    size = np.array(sizes)  # (G,)
    starts = np.cumsum(size) - size  # (G,)
    runs, places = balanced(sizes).shape
    run = generator.integers(runs * places, size=(rows, runs)) // places  # (rows, G)
    luck = generator.random((rows, runs, places))
    if len(set(sizes)) == 1:
        inside = (luck * places).astype(np.int64)
    else:  # as many draws as the run has episodes, each for equally many places
        turn = np.arange(places) * size[run][..., None] // places  # (rows, G, M)
        inside = (np.take_along_axis(luck, turn, axis=2) * size[run][..., None]).astype(np.int64)
    return np.asarray(starts[run][..., None] + inside, np.int64).reshape(rows, runs * places)


@functools.lru_cache(maxsize=2)
def _default_positions(sizes: tuple[int, ...], resamples: int) -> npt.NDArray[np.int64]:
    """The positions drawn by the default generator; cached, because all cells of a table share them."""
    return drawn(sizes, resamples, np.random.default_rng(BOOTSTRAP_SEED))
