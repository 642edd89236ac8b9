"""Comparisons of two policies or conditions; the module also re-exports statistics and intervals."""

import numpy as np
import pandas as pd

from reports.statistics.bootstrap import BOOTSTRAP_SEED, RESAMPLES, balanced, bootstrap_interval, drawn, rows_at_once
from reports.statistics.means import LEVEL, Floats, Interval, checked, mean_interval, no_interval
from reports.statistics.of_arrays import (
    Statistic,
    cvar,
    improvement_probability,
    iqm,
    mean,
    median,
    normalized_std,
    optimality_gap,
)

__all__ = [
    "BOOTSTRAP_SEED",
    "LEVEL",
    "Floats",
    "Interval",
    "Statistic",
    "bootstrap_interval",
    "cvar",
    "iqm",
    "mean",
    "mean_interval",
    "median",
    "normalized_std",
    "optimality_gap",
    "paired_difference",
    "probability_of_improvement",
]


def paired_difference(
    frame_a: pd.DataFrame, frame_b: pd.DataFrame, *, value: str = "score", level: float = LEVEL
) -> Interval:
    """The mean of a - b with its `mean_interval` over paired episodes: equal train_seed and eval_seed.

    If each table has a single training run, the train_seeds may differ: two algorithms are compared on equal episodes.
    Pairs without two finite values are left out, and `n` counts the others. Without a pair n is 0 and all numbers are
    NaN.

    Raises:
        ValueError: a table has an episode twice, because it mixes conditions or policies.
    """
    seeds = {*_runs(frame_a), *_runs(frame_b)}
    alone = len(_runs(frame_a)) <= 1 and len(_runs(frame_b)) <= 1
    key = ["eval_seed"] if alone and len(seeds) > 1 else ["train_seed", "eval_seed"]
    for frame in (frame_a, frame_b):
        if frame.duplicated(key).any():
            raise ValueError("an episode occurs twice on one side of a comparison; select one condition per side.")
    pairs = frame_a[[*key, value]].merge(frame_b[[*key, value]], on=key, suffixes=("_a", "_b")).sort_values(key)
    difference = (pairs[f"{value}_a"] - pairs[f"{value}_b"]).to_numpy(np.float64)
    finite = np.isfinite(difference)
    if not finite.any():
        return no_interval("no common episode")
    groups = pairs["train_seed"].to_numpy(object)[finite].tolist() if "train_seed" in key else None
    return mean_interval(difference[finite], groups=groups, level=level)


def probability_of_improvement(
    frame_a: pd.DataFrame,
    frame_b: pd.DataFrame,
    *,
    value: str = "score",
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    generator: np.random.Generator | None = None,
) -> Interval:
    """The probability that an episode of a scores more than one of b (see `improvement_probability`).

    The interval is the percentile bootstrap over training runs and their episodes; both sides are resampled
    independently. Every run has the same weight. If the interval includes 0.5, neither side is significantly better.
    All numbers are NaN if a side has no finite value.
    """
    sides = [frame[np.isfinite(frame[value].to_numpy(np.float64))] for frame in (frame_a, frame_b)]
    if not all(len(side) for side in sides):
        return no_interval("no value on one side")
    generator = generator or np.random.default_rng(BOOTSTRAP_SEED)
    (x, sizes_x), (y, sizes_y) = (_by_run(side, value) for side in sides)
    estimate = improvement_probability(x[balanced(sizes_x).ravel()], y[balanced(sizes_y).ravel()])
    draws, block = list[float](), rows_at_once(sizes_x, sizes_y)
    for count in (min(block, resamples - done) for done in range(0, resamples, block)):
        sampled = [values[drawn(sizes, count, generator)] for values, sizes in ((x, sizes_x), (y, sizes_y))]
        draws += [improvement_probability(one, other) for one, other in zip(*sampled, strict=True)]
    low, high = (float(np.quantile(draws, q)) for q in ((1 - level) / 2, (1 + level) / 2))
    n = sum(len(side) for side in sides)
    return Interval(estimate=estimate, low=low, high=high, level=level, method="percentile bootstrap", n=n)


def _by_run(frame: pd.DataFrame, value: str) -> tuple[Floats, tuple[int, ...]]:
    """The values sorted by training run, (N,), and the number of values of each run."""
    x, runs = checked(frame[value].to_numpy(np.float64), frame["train_seed"].tolist())
    return x[np.argsort(runs, kind="stable")], tuple(np.bincount(runs).tolist())


def _runs(frame: pd.DataFrame) -> set[object]:
    return {None if pd.isna(seed) else int(seed) for seed in frame["train_seed"].unique()}
