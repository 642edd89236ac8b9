"""Area under the curve and the budget that halves the score, by hand."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import reports
from reports.findings.budgets import budget_numbers, halving_budgets
from reports.statistics import bootstrap, of_arrays
from reports.tables.budgets import budget_table
from tests.reports.toys import episodes, table

EPS = np.array([0.0, 0.1, 0.2])


def attacked(
    means: list[float], eps: list[float], spread: float = 1.0, **changes: object
) -> list[list[dict[str, object]]]:
    """Ten episodes about each mean at each eps."""
    return [
        episodes([mean + spread * (i - 4.5) for i in range(10)], **({"attack": "fgsm", "eps": e} | changes))
        for mean, e in zip(means, eps, strict=True)
    ]


CLEAN = episodes([80 + i - 4.5 for i in range(10)])


def test_the_halving_budget_lies_on_the_straight_line() -> None:
    """80 at 0, 60 at .1, 20 at .2: half of 80 is met midway between .1 and .2."""
    curves = np.array(
        [[80.0, 60.0, 20.0], [80.0, 40.0, 60.0], [80.0, 50.0, 41.0], [80.0, 20.0, 90.0], [-1.0, -2.0, -3.0]]
    )
    assert_allclose(halving_budgets(EPS, curves), [0.15, 0.1, np.inf, 0.1 * 40 / 60, np.nan])


def test_area_is_the_mean_height() -> None:
    """(80+60)/2 · .1 + (60+20)/2 · .1 over .2 = 55; budgets need not be evenly spaced."""
    assert float(of_arrays.curve_area(EPS, np.array([80.0, 60.0, 20.0]))) == pytest.approx(55.0)
    assert float(of_arrays.curve_area(np.array([0.0, 1.0, 4.0]), np.array([6.0, 4.0, 0.0]))) == pytest.approx(11 / 4)
    assert of_arrays.curve_area(EPS, np.ones((4, 3))).tolist() == [1.0] * 4


def test_numbers_of_a_curve_by_hand() -> None:
    """Every episode of mean m is (m + offset), so each area is 55 + offset: the interval is that of the offsets."""
    (row,) = budget_numbers(table(CLEAN, *attacked([60.0, 20.0], [0.1, 0.2]))).to_dict("records")
    assert (row["attack"], row["largest"], row["n"]) == ("fgsm", 0.2, 10)
    half = 2.262157 * math.sqrt(55 / 6 / 10)  # t(9) and the spread of ten neighbours
    assert (row["area"], row["area_low"], row["area_high"]) == pytest.approx((55.0, 55.0 - half, 55.0 + half))
    assert row["eps50"] == pytest.approx(0.15)
    assert row["eps50_low"] < 0.15 < row["eps50_high"]


def test_the_interval_of_the_halving_budget_keeps_the_pairs() -> None:
    """All budgets scale an episode alike, so every resample halves at the same eps."""
    levels = np.linspace(20.0, 100.0, 10)
    blocks = [episodes((levels * s).tolist(), attack="pgd", eps=e) for e, s in ((0.1, 0.75), (0.2, 0.25))]
    (row,) = budget_numbers(table(episodes(levels.tolist()), *blocks)).to_dict("records")
    assert (row["eps50_low"], row["eps50"], row["eps50_high"]) == pytest.approx((0.15, 0.15, 0.15))


def test_a_curve_that_does_not_halve_is_said_to_be_beyond() -> None:
    (row,) = budget_table(table(CLEAN, *attacked([70.0, 60.0], [0.1, 0.2]))).to_dict("records")
    assert row["eps50"] == "beyond 0.2"
    (row,) = budget_table(table(CLEAN, *attacked([70.0, 40.2], [0.1, 0.2], spread=2.0))).to_dict("records")
    assert row["eps50"].startswith("beyond 0.2 [0.1")
    assert row["eps50"].endswith(", beyond 0.2]")
    assert row["eps"] == "0 to 0.2 dataset-std linf"


def test_a_clean_score_of_nothing_has_no_half() -> None:
    frame = table(episodes([-1.0] * 10), *attacked([-2.0, -3.0], [0.1, 0.2]))
    (row,) = budget_table(frame).to_dict("records")
    assert row["eps50"] == "–"


def test_units_policies_and_missing_episodes() -> None:
    other = attacked([50.0, 30.0], [0.01, 0.02], unit="raw", norm="l2")
    frame = table(CLEAN, *attacked([60.0, 20.0], [0.1, 0.2]), *[block[:8] for block in other])
    rows = budget_numbers(frame)
    assert rows[["unit", "norm", "n"]].to_numpy().tolist() == [["dataset-std", "linf", 10], ["raw", "l2", 8]]


def test_one_budget_and_no_clean_episodes_are_no_curve() -> None:
    assert len(budget_table(table(CLEAN, *attacked([60.0], [0.1])))) == 0
    assert len(budget_table(table(*attacked([60.0, 20.0], [0.1, 0.2])))) == 0
    assert "eps50" not in reports.markdown(table(CLEAN, *attacked([60.0], [0.1])))
    assert "eps50" in reports.markdown(table(CLEAN, *attacked([60.0, 20.0], [0.1, 0.2])))


def test_resampled_means_keep_rows_whole_and_runs_together() -> None:
    """Two constant runs of two columns: a resample's mean is one of three rows."""
    values = np.repeat([[0.0, 1.0], [10.0, 21.0]], 4, axis=0)
    means = bootstrap.resampled_means(values, ["a"] * 4 + ["b"] * 4, resamples=300)
    assert {tuple(row) for row in means.tolist()} == {(0.0, 1.0), (5.0, 11.0), (10.0, 21.0)}
    again = bootstrap.resampled_means(values, ["a"] * 4 + ["b"] * 4, resamples=300, generator=np.random.default_rng(1))
    assert means.tolist() != again.tolist()


def test_blocks_of_resamples_only_bound_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(20, 2))
    monkeypatch.setattr(bootstrap, "_BLOCK", 20 * 7)
    means = bootstrap.resampled_means(values, [0] * 20, resamples=1000)
    assert means.shape == (1000, 2)
    assert means.std(axis=0) == pytest.approx(values.std(axis=0) / math.sqrt(20), rel=0.1)


def test_infinite_draws_have_an_interval_without_numbers_between() -> None:
    draws = np.array([1.0] * 500 + [math.inf] * 500)
    assert bootstrap.expanded(draws, 10) == (1.0, math.inf)
