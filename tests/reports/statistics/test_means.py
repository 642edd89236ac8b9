"""Intervals of means: by hand, against slower oracles, and by what they hold in studies whose truth is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import optimize, stats

from benchmarks import coverage
from reports.statistics import means, of_arrays
from reports.statistics.means import mean_interval, mean_intervals
from reports.statistics.of_cells import statistics_of

TEN = [9.0, 1.0, 4.0, 2.0, 3.0, 8.0, 5.0, 7.0, 6.0, 10.0]


def test_episodes_without_skewness_get_students_t() -> None:
    """1..10: mean 5.5, variance 55/6, standard error √(55/60), t(9) = 2.262157."""
    interval = mean_interval(TEN)
    half = 2.262157 * math.sqrt(55 / 60)
    assert (interval.low, interval.high) == pytest.approx((5.5 - half, 5.5 + half))
    assert (interval.estimate, interval.n, interval.level) == (5.5, 10, 0.95)
    assert interval.method == "skewness-corrected t over episodes"


def test_a_fall_moves_both_ends_down() -> None:
    """Nineteen episodes of about 90 and one of 20: below the mean there is more to fear than above."""
    scores = [90.0 + i % 3 for i in range(19)] + [20.0]
    interval, error = mean_interval(scores), float(np.std(scores, ddof=1)) / math.sqrt(20)
    student = 2.093024 * error
    assert interval.low < interval.estimate - student
    assert interval.high < interval.estimate + student
    assert interval.low >= interval.estimate - means.STRETCH * student - 1e-4


@pytest.mark.parametrize("seed", range(5))
def test_the_correction_undoes_halls_transformation(seed: int) -> None:
    """The root of g(u) = u + k u²/3 + k² u³/27 + k/6 found by bisection, where the bound does not act."""
    x = np.random.default_rng(seed).gamma(4.0, size=60)
    k = stats.skew(x, bias=False) / math.sqrt(60)
    error = x.std(ddof=1) / math.sqrt(60)
    ends = []
    for t in (stats.t.ppf(0.975, 59), stats.t.ppf(0.025, 59)):
        root = optimize.brentq(lambda u, t=t: u + k * u**2 / 3 + k**2 * u**3 / 27 + k / 6 - t, -20, 20, xtol=1e-13)
        ends.append(x.mean() - np.clip(root, -1.5 * abs(t), 1.5 * abs(t)) * error)
    interval = mean_interval(x)
    assert (interval.low, interval.high) == pytest.approx(tuple(ends), rel=1e-9)


def test_runs_of_one_size_are_single_values() -> None:
    """Three runs with means 10, 20, 33: a t interval of these three numbers, whatever the episodes within."""
    values = [9.0, 11.0, 15.0, 25.0, 33.0, 33.0]
    interval = mean_interval(values, groups=[0, 0, 1, 1, 2, 2])
    half = 4.302653 * float(np.std([10, 20, 33], ddof=1)) / math.sqrt(3)
    assert (interval.low, interval.high) == pytest.approx((21 - half, 21 + half))
    assert interval.method == "t over 3 runs"


def test_a_run_counts_once_however_many_episodes_it_has() -> None:
    """Run a (0, 2, 4) has mean 2, run b (10) mean 10: 6 ± 12.706205 · 4, as of the two numbers 2 and 10."""
    interval = mean_interval([0.0, 2.0, 4.0, 10.0], groups=["a", "a", "a", "b"])
    half = 12.706205 * 4
    assert interval.estimate == 6.0
    assert (interval.low, interval.high) == pytest.approx((6 - half, 6 + half))
    assert (means.run_weights(["a", "a", "a", "b"]) == [1 / 6, 1 / 6, 1 / 6, 1 / 2]).all()


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=9), min_size=2, max_size=6))
def test_runs_are_the_students_t_of_their_means(runs: list[list[float]]) -> None:
    """Against scipy's interval of the runs' means, whatever the sizes of the runs."""
    interval = mean_interval(
        [value for run in runs for value in run], groups=[k for k, run in enumerate(runs) for _ in run]
    )
    levels = [float(np.mean(run)) for run in runs]
    error = float(np.std(levels, ddof=1)) / math.sqrt(len(levels))
    expected = (
        stats.t.interval(0.95, len(levels) - 1, np.mean(levels), error) if error > 1e-9 else [np.mean(levels)] * 2
    )
    assert interval.estimate == pytest.approx(float(np.mean(levels)), abs=1e-9)
    assert (interval.low, interval.high) == pytest.approx(tuple(map(float, expected)), rel=1e-6, abs=1e-6)


def test_few_or_equal_values() -> None:
    alone = mean_interval([4.0])
    assert (alone.estimate, alone.n, alone.method) == (4.0, 1, "one value")
    assert math.isnan(alone.low)
    assert math.isnan(alone.half_width)
    same = mean_interval([4.0] * 5)
    assert (same.low, same.estimate, same.high) == (4.0, 4.0, 4.0)
    two = mean_interval([1.0, 3.0])  # too few for a skewness: 2 ± 12.706205
    assert (two.low, two.high) == pytest.approx((2 - 12.706205, 2 + 12.706205))


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, math.inf], [[1.0], [2.0]]])
def test_what_has_no_mean_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one value and only finite ones"):
        mean_interval(values)
    with pytest.raises(ValueError, match="3 values needs as many group labels, not 2"):
        mean_interval([1.0, 2.0, 3.0], groups=[0, 1])


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.floats(-100, 100), st.floats(0.01, 100))
def test_an_interval_moves_turns_and_stretches_with_its_values(values: list[float], shift: float, scale: float) -> None:
    x = np.round(np.array(values), 3)
    plain, moved, turned = mean_interval(x), mean_interval(shift + scale * x), mean_interval(-x)
    assert plain.low <= plain.estimate <= plain.high
    ends = [shift + scale * plain.low, shift + scale * plain.high, -plain.high, -plain.low]
    assert [moved.low, moved.high, turned.low, turned.high] == pytest.approx(ends, rel=1e-6, abs=1e-3)


def test_all_cells_at_once_are_each_cell_alone() -> None:
    """A thousand episodes in twelve cells of one to four runs, against one call per cell."""
    generator = np.random.default_rng(0)
    cell, run = generator.integers(0, 12, 1000), generator.integers(0, 4, 1000)
    run = np.where(cell % 3 == 0, 2, run)
    x = generator.gamma(2.0, size=1000)
    numbers = np.transpose(mean_intervals(x, cell, run, 13))
    alone = [mean_interval(x[cell == c], groups=run[cell == c].tolist()) for c in range(12)]
    assert_allclose(numbers[:12], [(one.estimate, one.low, one.high) for one in alone], rtol=1e-12)
    assert np.isnan(numbers[12]).all()


def test_the_statistics_of_all_cells_are_each_cells_own() -> None:
    generator = np.random.default_rng(0)
    cell = np.concatenate([np.repeat(np.arange(30), np.arange(30)), [31]])  # cells of 0 to 29 values, and one of one
    x = generator.normal(60, 40, len(cell))
    numbers = pd.DataFrame(statistics_of(x, cell, np.zeros(len(x), np.int64), 32))
    for c in (*range(1, 30), 31):
        own = x[cell == c]
        for name in ("median", "iqm", "cvar", "optimality_gap"):
            assert numbers.loc[c, name] == pytest.approx(float(getattr(of_arrays, name)(own)), rel=1e-12)
        spread = float(np.std(own, ddof=1)) if len(own) > 1 else math.nan
        assert numbers.loc[c, "std"] == pytest.approx(spread, rel=1e-12, nan_ok=True)
    assert numbers.loc[[0, 30]].isna().all(axis=None)


def test_the_statistics_of_runs_of_one_size_are_those_of_their_episodes() -> None:
    x = np.random.default_rng(0).normal(60, 40, 24)
    numbers = statistics_of(x, np.zeros(24, np.int64), np.arange(24) % 3, 1)
    for name in ("median", "iqm", "cvar", "optimality_gap"):
        assert numbers[name][0] == pytest.approx(float(getattr(of_arrays, name)(x)), rel=1e-12)


def test_the_statistics_of_unequal_runs_are_those_of_runs_whose_episodes_are_repeated() -> None:
    """Runs of 12, 4 and 3 episodes weigh as if the second had each of its episodes three times, the third four."""
    sizes = np.array([12, 4, 3])
    run, x = np.repeat(np.arange(3), sizes), np.random.default_rng(0).normal(60, 40, 19)
    numbers = statistics_of(x, np.zeros(19, np.int64), run, 1)
    even = np.repeat(x, 12 // sizes[run])  # 36 values, each run twelve
    assert numbers["median"][0] == pytest.approx(float(np.median(even)))
    assert numbers["optimality_gap"][0] == pytest.approx(float(of_arrays.optimality_gap(even)))
    assert numbers["std"][0] == pytest.approx(float(even.std() * math.sqrt(19 / 18)))  # over N - 1 of the 19 episodes
    weighed = np.sort(np.repeat(even, 19))  # 19 · 36 parts: whole numbers of them are cut off at N / 4 = 4 and N / 10
    assert numbers["iqm"][0] == pytest.approx(float(weighed[4 * 36 : -4 * 36].mean()))
    assert numbers["cvar"][0] == pytest.approx(float(of_arrays.cvar(weighed)))


def covered(shape: str, runs: int, each: int, apart: float) -> float:
    """Of 2000 studies, so one standard error is .005."""
    low, high = coverage.ours(coverage.studies(shape, runs, each, apart, 2000, np.random.default_rng(0)))
    return float(np.mean((low <= 0) & (high >= 0)))


@pytest.mark.parametrize("shape", coverage.SHAPES)
@pytest.mark.parametrize("apart", [0.5, 1.0])
@pytest.mark.parametrize("runs", [3, 5, 10])
def test_intervals_over_runs_hold_the_truth_in_95_of_100_studies(shape: str, runs: int, apart: float) -> None:
    assert 0.94 <= covered(shape, runs, 10, apart) <= 0.96


@pytest.mark.parametrize("shape", ["normal", "falls 30 %"])
@pytest.mark.parametrize("apart", [0.5, 1.0])
@pytest.mark.parametrize("sizes", [(50, 10, 10), (100, 10, 10, 10, 10)])
def test_intervals_over_runs_of_unequal_sizes_hold_the_truth_as_often(
    shape: str, apart: float, sizes: tuple[int, ...]
) -> None:
    x, run = coverage.unequal(shape, sizes, apart, 4000, np.random.default_rng(0))
    low, high = coverage.of_runs(x, run)
    assert 0.94 <= float(np.mean((low <= 0) & (high >= 0))) <= 0.96


@pytest.mark.parametrize(("shape", "each"), [("normal", 10), ("normal", 50), ("skewed", 50), ("falls 10 %", 50)])
def test_intervals_over_episodes_hold_the_truth_in_95_of_100_studies(shape: str, each: int) -> None:
    assert 0.94 <= covered(shape, 1, each, 0.0) <= 0.96


def test_ten_skewed_episodes_are_better_served_than_by_student() -> None:
    x = coverage.studies("skewed", 1, 10, 0.0, 2000, np.random.default_rng(0))
    low, high = coverage.pooled(x)
    assert np.mean((low <= 0) & (high >= 0)) < 0.92 < covered("skewed", 1, 10, 0.0)


def test_falls_that_few_episodes_do_not_show_are_beyond_any_interval() -> None:
    """A fall in ten episodes of ten: .9¹⁰ = .35 of the studies see none: a limit, not a bug."""
    assert covered("falls 10 %", 1, 10, 0.0) == pytest.approx(1 - 0.9**10, abs=0.03)
