"""Numbers with intervals: what a handful of episodes says about a policy, and what it does not.

Statistics are plain functions of an array and an axis, so a bootstrap evaluates them on all resamples at once.
Shapes: N values (episodes) of G groups (training runs), R resamples.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

Floats = npt.NDArray[np.float64]

BOOTSTRAP_SEED = 20231203
"""Seed of the generator used where none is given: one file gives one table, whoever computes it."""

LEVEL = 0.95
RESAMPLES = 2000
_BLOCK = 2**22  # resampled values held at a time: bounds the memory, not the result's meaning


class Statistic(Protocol):
    """A statistic of the values along an axis."""

    @property
    def __name__(self) -> str: ...

    def __call__(self, values: Floats, axis: int = -1) -> Floats: ...  # noqa: D102 - the class says it


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate, its interval at `level` (NaN where none can be given) and the number `n` of values in it."""

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


def mean(values: Floats, axis: int = -1) -> Floats:
    """Arithmetic mean."""
    return np.asarray(np.mean(values, axis=axis))


def median(values: Floats, axis: int = -1) -> Floats:
    """Middle value, or the mean of the two middle ones."""
    return np.asarray(np.median(values, axis=axis))


def iqm(values: Floats, axis: int = -1) -> Floats:
    """Interquartile mean: floor(N/4) values cut off at either end (Agarwal et al. 2021, arXiv:2108.13264)."""
    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))


def cvar(values: Floats, axis: int = -1, share: float = 0.1) -> Floats:
    """Conditional value at risk: the mean of the worst `share` of the values.

    With share·N not whole, the last value counts by its fraction: for N = 15 and share .1 it is
    (x₍₁₎ + x₍₂₎/2) / 1.5 (Rockafellar and Uryasev 2002, on scenario models).
    """
    ordered = np.sort(values, axis=axis)
    count = share * ordered.shape[axis]
    weights = np.clip(count - np.arange(ordered.shape[axis]), 0, 1) / count  # (N,)
    return np.asarray(np.moveaxis(ordered, axis, -1) @ weights)


def optimality_gap(values: Floats, axis: int = -1, target: float = 100.0) -> Floats:
    """How far the values stay below the target on average: mean of max(target - x, 0) (Agarwal et al. 2021)."""
    return np.asarray(np.mean(np.maximum(target - values, 0), axis=axis))


def normalized_std(return_std: float, random_return: float, expert_return: float) -> float:
    """The standard deviation of normalized scores: scaled by 100 / (expert - random), never shifted.

    A spread has no origin: putting it through the score formula would subtract the random policy's return.
    """
    return 100 * return_std / (expert_return - random_return)


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
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or x.size == 0 or not np.isfinite(x).all():
        raise ValueError("a bootstrap needs at least one value and only finite ones; leave the others out and say so.")
    labels = [0] * x.size if groups is None else list(groups)
    if len(labels) != x.size:
        raise ValueError(f"a bootstrap of {x.size} values needs as many group labels, not {len(labels)}.")
    runs = pd.factorize(pd.Series(labels, dtype="object"))[0]  # (N,)
    order = np.argsort(runs, kind="stable")
    sizes = np.unique(runs, return_counts=True)[1]  # (G,)
    units = sizes.size if sizes.size > 1 else x.size
    estimate = float(statistic(x))
    if units == 1:
        return Interval(estimate=estimate, low=math.nan, high=math.nan, level=level, method="one value", n=x.size)
    draws = _resampled(x[order], tuple(sizes.tolist()), statistic, resamples, generator)
    widen = math.sqrt(units / (units - 1)) * stats.t.ppf((1 + level) / 2, units - 1)
    low, high = (float(np.quantile(draws, stats.norm.cdf(z))) for z in (-widen, widen))
    method = "bootstrap over episodes" if sizes.size == 1 else f"bootstrap over {sizes.size} runs and their episodes"
    return Interval(estimate=estimate, low=low, high=high, level=level, method=method, n=x.size)


def _resampled(
    values: Floats, sizes: tuple[int, ...], statistic: Statistic, resamples: int, generator: np.random.Generator | None
) -> Floats:
    """The statistic of every resample, (R,); `values` are sorted by group."""
    block = max(1, _BLOCK // values.size)
    if generator is None and resamples <= block:
        return statistic(values[_common_draws(sizes, resamples)], axis=-1)
    generator = generator or np.random.default_rng(BOOTSTRAP_SEED)
    rows = [min(block, resamples - done) for done in range(0, resamples, block)]
    return np.concatenate([statistic(values[_draws(sizes, count, generator)], axis=-1) for count in rows])


def _draws(sizes: tuple[int, ...], rows: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Positions of the drawn values, (rows, N): a run for each run's place, then episodes of that run."""
    size = np.array(sizes)  # (G,)
    starts = np.cumsum(size) - size  # (G,)
    group = np.repeat(np.arange(size.size), size)  # (N,)
    drawn = group[generator.integers(group.size, size=(rows, size.size))]  # (rows, G)
    drawn = drawn[:, group]  # (rows, N)
    inside = (generator.random(drawn.shape) * size[drawn]).astype(np.int64)
    return np.asarray(starts[drawn] + inside, np.int64)


@functools.lru_cache(maxsize=2)
def _common_draws(sizes: tuple[int, ...], resamples: int) -> npt.NDArray[np.int64]:
    """What the default generator draws; the same for every cell of a table, so it is drawn once."""
    return _draws(sizes, resamples, np.random.default_rng(BOOTSTRAP_SEED))


def paired_difference(
    frame_a: pd.DataFrame,
    frame_b: pd.DataFrame,
    *,
    value: str = "score",
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    generator: np.random.Generator | None = None,
) -> Interval:
    """Mean of a - b over the episodes both tables hold: equal train_seed, eval_seed and episode number.

    Where each table holds one training run only, its seed need not agree (two algorithms are compared on the same
    episodes). Episodes without a finite value on either side are left out; `n` counts what is left. Without a
    common episode n is 0 and all numbers are NaN.

    Raises:
        ValueError: a table holds an episode twice, because it mixes conditions or policies.
    """
    seeds = {*_runs(frame_a), *_runs(frame_b)}
    alone = len(_runs(frame_a)) <= 1 and len(_runs(frame_b)) <= 1
    key = ["eval_seed", "episode"] if alone and len(seeds) > 1 else ["train_seed", "eval_seed", "episode"]
    for frame in (frame_a, frame_b):
        if frame.duplicated(key).any():
            raise ValueError("an episode occurs twice on one side of a comparison; select one condition per side.")
    pairs = frame_a[[*key, value]].merge(frame_b[[*key, value]], on=key, suffixes=("_a", "_b")).sort_values(key)
    difference = (pairs[f"{value}_a"] - pairs[f"{value}_b"]).to_numpy(np.float64)
    finite = np.isfinite(difference)
    if not finite.any():
        nan = math.nan
        return Interval(estimate=nan, low=nan, high=nan, level=level, method="no common episode", n=0)
    groups = pairs["train_seed"].to_numpy(object)[finite].tolist() if "train_seed" in key else None
    return bootstrap_interval(
        difference[finite], mean, groups=groups, level=level, resamples=resamples, generator=generator
    )


def _runs(frame: pd.DataFrame) -> set[object]:
    return {None if pd.isna(seed) else int(seed) for seed in frame["train_seed"].unique()}
