"""Statistics worked out by hand, and intervals that hold what they promise."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.statistics import bootstrap, of_arrays
from reports.study import scores
from reports.study.scores import (
    Floats,
    Interval,
    Statistic,
    bootstrap_interval,
    paired_difference,
    probability_of_improvement,
)
from tests.reports.toys import episodes, row, table

TEN = np.array([9.0, 1.0, 4.0, 2.0, 3.0, 8.0, 5.0, 7.0, 6.0, 100.0])
ALL: list[Statistic] = [scores.mean, scores.median, scores.iqm, scores.cvar, scores.optimality_gap]


def test_statistics_of_ten_values_by_hand() -> None:
    assert scores.mean(TEN) == 14.5
    assert scores.median(TEN) == 5.5
    assert scores.iqm(TEN) == pytest.approx(5.5)  # floor(10/4) = 2 cut off at either end: 3..8
    assert scores.cvar(TEN) == 1.0  # 10 % of ten values is the smallest
    assert scores.optimality_gap(TEN) == pytest.approx(85.5)  # (900 - 45) / 10: 100 has no gap


def test_iqm_ignores_the_extremes_and_keeps_the_fractions_of_scipy() -> None:
    assert scores.iqm(np.array([0.0, 10.0, 20.0, 1000.0])) == 15.0
    assert scores.iqm(np.array([0.0, 10.0, 20.0])) == 10.0  # floor(3/4) = 0: nothing is cut


def test_cvar_weighs_a_part_of_an_episode() -> None:
    values = np.arange(15.0)[::-1]  # 10 % of 15 is one and a half episode: (0 + 1/2) / 1.5
    assert scores.cvar(values) == pytest.approx(1 / 3)
    assert scores.cvar(np.arange(20.0)) == pytest.approx(0.5)
    assert scores.cvar(np.array([7.0, 3.0])) == pytest.approx(3.0)
    assert scores.cvar(np.arange(4.0), share=1.0) == pytest.approx(1.5)


def test_optimality_gap_counts_only_what_is_missing() -> None:
    assert scores.optimality_gap(np.array([110.0, 90.0])) == 5.0
    assert scores.optimality_gap(np.array([1.0, 3.0]), target=2.0) == 0.5


@pytest.mark.parametrize("statistic", ALL, ids=lambda s: s.__name__)
def test_an_axis_gives_the_same_as_one_row_at_a_time(statistic: Statistic) -> None:
    rows = np.random.default_rng(0).normal(50, 20, (6, 11))
    expected = [float(statistic(one)) for one in rows]
    np.testing.assert_allclose(statistic(rows, axis=-1), expected, rtol=1e-13)
    np.testing.assert_allclose(statistic(rows.T, axis=0), expected, rtol=1e-13)


def test_a_spread_is_scaled_and_never_shifted() -> None:
    """Hopper's anchors are -20.272305 and 3234.3; the std of scores is the scaled std of returns."""
    low, high = -20.272305, 3234.3
    returns = np.array([1000.0, 1500.0, 1250.0, 3000.0])
    normalized = 100 * (returns - low) / (high - low)
    assert scores.normalized_std(float(returns.std()), low, high) == pytest.approx(float(normalized.std()), rel=1e-12)
    assert scores.normalized_std(0.0, low, high) == 0.0
    shifted = 100 * (returns.std() - low) / (high - low)
    assert abs(shifted - normalized.std()) > 0.6  # the mistake would show


def test_a_profile_is_the_share_above_each_threshold() -> None:
    values = np.array([10.0, 20.0, 20.0, 90.0])
    profile = of_arrays.performance_profile(values, np.array([-1.0, 10.0, 20.0, 50.0, 90.0]))
    assert profile.tolist() == [1.0, 0.75, 0.25, 0.25, 0.0]  # above a threshold, not at it


def test_the_area_below_a_profile_is_the_clipped_mean() -> None:
    values = np.array([-20.0, 30.0, 55.0, 140.0])
    grid = np.linspace(0, 100, 100_001)
    area = np.trapezoid(of_arrays.performance_profile(values, grid), grid)
    assert area == pytest.approx(np.clip(values, 0, 100).mean(), abs=1e-2)


def test_the_probability_of_improvement_counts_pairs_and_halves_ties() -> None:
    """(3, 5) against (1, 3, 9): wins 1, 0; 1, 1; one tie; of six pairs 3 + 1/2."""
    x, y = np.array([3.0, 5.0]), np.array([1.0, 3.0, 9.0])
    assert of_arrays.improvement_probability(x, y) == pytest.approx(3.5 / 6)
    pairs = [(a > b) + (a == b) / 2 for a in x for b in y]
    assert of_arrays.improvement_probability(x, y) == pytest.approx(float(np.mean(pairs)))
    assert of_arrays.improvement_probability(x, y) + of_arrays.improvement_probability(y, x) == pytest.approx(1.0)


def test_the_probability_of_improvement_has_an_interval() -> None:
    low, high = table(episodes([10.0, 20.0, 30.0])), table(episodes([40.0, 50.0, 60.0], algorithm="combo"))
    certain = probability_of_improvement(high, low)
    assert (certain.estimate, certain.low, certain.high, certain.n) == (1.0, 1.0, 1.0, 6)
    same = probability_of_improvement(low, low)
    assert same.estimate == 0.5
    assert same.low < 0.5 < same.high
    assert same == probability_of_improvement(low, low)
    many = table(episodes(TEN.tolist()))
    assert probability_of_improvement(many, many) != probability_of_improvement(
        many, many, generator=np.random.default_rng(1)
    )
    lost = low.assign(score=math.nan)
    assert math.isnan(probability_of_improvement(lost, low).estimate)


def test_the_probability_of_improvement_counts_every_run_once() -> None:
    """Three episodes of run 0 lose, the only one of run 1 wins: one half, not one quarter."""
    a = table(episodes([1.0, 2.0, 3.0]), episodes([9.0], train_seed=1))
    assert probability_of_improvement(a, table(episodes([5.0, 5.0], algorithm="combo"))).estimate == 0.5


def test_a_seed_repeats_an_interval_and_another_does_not() -> None:
    first = bootstrap_interval(TEN, generator=np.random.default_rng(3))
    assert first == bootstrap_interval(TEN, generator=np.random.default_rng(3))
    assert first != bootstrap_interval(TEN, generator=np.random.default_rng(4))
    assert first.n == 10
    assert first.level == 0.95
    assert first.method == "bootstrap over episodes"


def test_the_default_generator_is_the_documented_one() -> None:
    given_one = bootstrap_interval(TEN, scores.iqm, generator=np.random.default_rng(scores.BOOTSTRAP_SEED))
    assert bootstrap_interval(TEN, scores.iqm) == given_one


def test_blocks_only_bound_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_interval(TEN, resamples=4000)
    monkeypatch.setattr(bootstrap, "_BLOCK", 10 * 7)
    blocks = bootstrap_interval(TEN, resamples=4000)
    assert blocks.low == pytest.approx(whole.low, abs=1.0)
    assert blocks.high == pytest.approx(whole.high, abs=2.5)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30), st.floats(-100, 100), st.floats(0.01, 100))
def test_an_interval_moves_and_stretches_with_its_values(values: list[float], shift: float, scale: float) -> None:
    x = np.array(values)
    plain, moved = bootstrap_interval(x, resamples=200), bootstrap_interval(shift + scale * x, resamples=200)
    assert plain.low <= plain.high
    assert moved.estimate == pytest.approx(shift + scale * plain.estimate, rel=1e-9, abs=1e-6)
    assert moved.low == pytest.approx(shift + scale * plain.low, rel=1e-9, abs=1e-6)
    assert moved.high == pytest.approx(shift + scale * plain.high, rel=1e-9, abs=1e-6)


def covered(draw: Floats, truth: float, groups: list[int] | None = None) -> float:
    """The share of intervals that hold the truth; every row of `draw` is one experiment."""
    intervals = [bootstrap_interval(x, groups=groups) for x in draw]
    return float(np.mean([i.low <= truth <= i.high for i in intervals]))


def test_intervals_of_ten_normal_values_hold_the_truth_in_95_of_100_cases() -> None:
    """Of 2000 cases, so one standard error is .005; a plain percentile bootstrap of ten values holds it in .90."""
    draw = np.random.default_rng(0).normal(3.0, 2.0, (2000, 10))
    assert 0.93 < covered(draw, 3.0) < 0.97


def test_intervals_over_runs_see_what_differs_between_runs() -> None:
    """Eight runs of six episodes, with runs further apart than episodes: pooling them covers far too little."""
    generator = np.random.default_rng(0)
    draw = (2 * generator.normal(size=(200, 8, 1)) + generator.normal(size=(200, 8, 6))).reshape(200, 48)
    groups = np.repeat(np.arange(8), 6).tolist()
    assert 0.89 < covered(draw, 0.0, groups) <= 0.99
    assert covered(draw, 0.0) < 0.75


def test_the_runs_of_a_resample_are_drawn_whole() -> None:
    """Two constant runs: a resample's mean is 0, 5 or 10 and nothing between."""
    drawn = bootstrap.drawn((4, 4), 300, np.random.default_rng(0))
    values = np.repeat([0.0, 10.0], 4)[drawn].mean(axis=1)
    assert set(values.tolist()) == {0.0, 5.0, 10.0}
    interval = bootstrap_interval(np.repeat([0.0, 10.0], 4), groups=["a"] * 4 + ["b"] * 4)
    assert (interval.low, interval.estimate, interval.high) == (0.0, 5.0, 10.0)
    assert interval.method == "bootstrap over 2 runs and their episodes"


def test_runs_are_drawn_alike_whatever_their_sizes() -> None:
    """Run sizes 1 and 9: a resample draws either run every second time, and on as many of its places."""
    drawn = bootstrap.drawn((1, 9), 20000, np.random.default_rng(0))
    assert drawn.shape == (20000, 18)
    assert (drawn.min(), drawn.max()) == (0, 9)
    assert float((drawn == 0).mean()) == pytest.approx(0.5, abs=0.01)


def test_an_episode_is_drawn_as_often_as_there_are_episodes() -> None:
    """Of a run of three beside one of six, three are drawn, each on two of the six places: its spread is kept."""
    assert bootstrap.balanced((3, 6)).tolist() == [[0, 0, 1, 1, 2, 2], [3, 4, 5, 6, 7, 8]]
    drawn = bootstrap.drawn((3, 6), 500, np.random.default_rng(0)).reshape(500, 2, 6)
    small = drawn[drawn.max(axis=2) < 3].reshape(-1, 3, 2)
    assert len(small) > 300
    assert (small[..., 0] == small[..., 1]).all()


def test_a_bootstrapped_mean_counts_every_run_once() -> None:
    """Runs (0, 2, 4) and (10): 2 and 10 have mean 6, and no resample of whole runs lies beyond them."""
    interval = bootstrap_interval([0.0, 2.0, 4.0, 10.0], groups=["a", "a", "a", "b"])
    assert interval.estimate == 6.0
    assert 0 <= interval.low < 6 < interval.high <= 10


def test_repeating_the_episodes_of_runs_is_bounded() -> None:
    """Sizes without a common divisor: 97 · 89 places would be 8633, twenty times the largest are 1940."""
    places = bootstrap.balanced((97, 89))
    assert places.shape == (2, 20 * 97)
    counts = np.bincount(places[1])[97:]
    assert set(counts.tolist()) <= {21, 22}


def test_the_order_of_the_groups_labels_does_not_matter() -> None:
    values, groups = [1.0, 2.0, 5.0, 9.0], [0, 0, 1, 1]
    assert bootstrap_interval(values, groups=groups) == bootstrap_interval(values, groups=[None, None, "x", "x"])
    assert bootstrap_interval(values, groups=[7] * 4) == bootstrap_interval(values)


def test_one_value_gives_no_interval_and_equal_ones_a_point() -> None:
    alone = bootstrap_interval([4.0])
    assert (alone.estimate, alone.n) == (4.0, 1)
    assert math.isnan(alone.low)
    assert math.isnan(alone.half_width)
    same = bootstrap_interval([4.0] * 5)
    assert (same.low, same.estimate, same.high) == (4.0, 4.0, 4.0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, math.inf], [[1.0], [2.0]]])
def test_what_cannot_be_resampled_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one value and only finite ones"):
        bootstrap_interval(values)


def test_labels_must_match_values() -> None:
    with pytest.raises(ValueError, match="3 values needs as many group labels, not 2"):
        bootstrap_interval([1.0, 2.0, 3.0], groups=[0, 1])


def test_half_width_is_half_the_interval() -> None:
    interval = Interval(estimate=5.0, low=2.0, high=6.0, level=0.95, method="by hand", n=3)
    assert interval.half_width == 2.0


def test_a_paired_difference_uses_common_episodes_in_any_order() -> None:
    a = table(episodes([50.0, 60.0, 70.0, 10.0]))
    b = table(episodes([45.0, 56.0, 67.0])).iloc[::-1]
    interval = paired_difference(a, b)
    assert interval.estimate == pytest.approx((5 + 4 + 3) / 3)
    assert interval.n == 3
    assert (interval.low, interval.high) == pytest.approx((4 - 2.484139, 4 + 2.484139))  # t(2) = 4.302653, over √3
    assert paired_difference(a.iloc[[2, 0, 1]], b) == interval
    assert paired_difference(b, a).estimate == pytest.approx(-interval.estimate)


def test_pairing_is_sharper_than_the_episodes_are_apart() -> None:
    levels = np.linspace(0.0, 90.0, 10)
    interval = paired_difference(table(episodes((levels + 1).tolist())), table(episodes(levels.tolist())))
    assert (interval.low, interval.high) == pytest.approx((1.0, 1.0))


def test_pairs_belong_to_one_training_run() -> None:
    """Seed 0 improves by 1, seed 1 by 3; crossing the runs would give other differences."""
    a = table(episodes([11.0, 21.0]), episodes([103.0, 203.0], train_seed=1))
    b = table(episodes([10.0, 20.0]), episodes([100.0, 200.0], train_seed=1))
    interval = paired_difference(a, b)
    assert (interval.estimate, interval.n) == (2.0, 4)
    assert interval.method == "t over 2 runs"
    assert paired_difference(a, b, value="return").estimate == pytest.approx(40.0)


def test_two_single_runs_are_compared_whatever_their_seeds() -> None:
    own, foreign = table(episodes([50.0, 60.0])), table(episodes([40.0, 50.0], train_seed=None))
    assert paired_difference(own, foreign).estimate == 10.0
    missing = table(episodes([41.0, 51.0], train_seed=None))
    assert paired_difference(missing, foreign).estimate == 1.0
    several = table(episodes([1.0, 2.0]), episodes([1.0, 2.0], train_seed=1))
    assert paired_difference(several, foreign).n == 0


def test_no_common_episode_is_said_and_missing_values_are_left_out() -> None:
    a, b = table(episodes([50.0, 60.0])), table([row(eval_seed=7, episode=7)])
    assert paired_difference(a, b).n == 0
    assert paired_difference(a, b).method == "no common episode"
    assert math.isnan(paired_difference(a, b).low)
    gap = table(episodes([50.0]), [row(episode=1, eval_seed=101, score=math.nan, flags="nan-action")])
    assert paired_difference(gap, a).n == 1


def test_a_mixed_side_is_refused() -> None:
    mixed = table(episodes([50.0]), episodes([40.0], attack="fgsm", eps=0.1))
    with pytest.raises(ValueError, match="an episode occurs twice on one side"):
        paired_difference(mixed, mixed)


def test_an_empty_side_has_nothing_in_common() -> None:
    frame = table(episodes([50.0, 51.0]))
    assert paired_difference(frame, frame.iloc[:0]).n == 0
    assert isinstance(paired_difference(frame, pd.DataFrame(frame)).low, float)
