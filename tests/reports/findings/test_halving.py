"""The search for the budget that halves: which one is next, and why it ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.findings.halving import RESOLUTION, Step, next_step

N = 10
EXACT = np.zeros(N)
SPREAD = np.linspace(-20.0, 20.0, N)


def step(curve: dict[float, float], spread: np.ndarray = EXACT, most: int = 12) -> Step:
    """What is next where episodes lie about these means; noise of clean and attacked episodes does not cancel."""
    values = np.array([[mean + (noise if eps else 0.0) for eps, mean in curve.items()] for noise in spread])
    return next_step(np.array(list(curve)), values, [0] * len(values), most=most)


def test_it_doubles_until_the_score_has_halved_and_then_takes_the_middle() -> None:
    assert step({0.0: 80.0, 0.1: 70.0}) == Step(next=0.2)
    assert step({0.0: 80.0, 0.1: 70.0, 0.2: 60.0}) == Step(next=0.4)
    assert step({0.0: 80.0, 0.1: 70.0, 0.2: 30.0}) == Step(next=0.15, between=(0.1, 0.2))
    assert step({0.0: 80.0, 0.1: 70.0, 0.15: 39.0, 0.2: 30.0}) == Step(next=0.125, between=(0.1, 0.15))


def test_a_first_budget_that_is_too_large_is_quartered() -> None:
    assert step({0.0: 80.0, 0.1: 10.0}) == Step(next=0.025, between=(0.0, 0.1))


def test_the_first_crossing_counts_where_the_curve_rises_again() -> None:
    assert step({0.0: 80.0, 0.1: 39.0, 0.2: 60.0, 0.4: 10.0}).between == (0.0, 0.1)


def test_it_ends_where_budgets_are_near_enough() -> None:
    assert step({0.0: 80.0, 0.2: 41.0, 0.21: 39.0}) == Step(why="resolved", between=(0.2, 0.21))
    assert step({0.0: 80.0, 0.2: 41.0, 0.22: 39.0}).next == 0.21


def test_it_ends_where_no_episode_can_tell() -> None:
    """Spread 20 over ten episodes is an interval of ± 9: 44 and 36 cannot be told from 40, 60 can."""
    assert step({0.0: 80.0, 0.2: 44.0, 0.4: 36.0}, SPREAD) == Step(why="episodes", between=(0.2, 0.4))
    assert step({0.0: 80.0, 0.2: 60.0, 0.4: 36.0}, SPREAD).next == 0.3
    assert step({0.0: 80.0, 0.2: 60.0, 0.4: 36.0}, SPREAD[:1]).why == "episodes"  # one episode tells nothing


def test_it_ends_after_as_many_budgets_as_allowed() -> None:
    assert step({0.0: 80.0, 0.1: 70.0, 0.2: 60.0}, most=2) == Step(why="not reached")
    assert step({0.0: 80.0, 0.1: 70.0, 0.2: 30.0}, most=2) == Step(why="budgets", between=(0.1, 0.2))


@pytest.mark.parametrize("clean", [0.0, -5.0])
def test_what_is_not_positive_has_no_half(clean: float) -> None:
    assert step({0.0: clean, 0.1: -10.0}) == Step(why="no half")


@given(st.floats(1e-3, 50.0))
def test_on_a_straight_line_it_finds_the_half_in_few_budgets(half: float) -> None:
    """A score that falls linearly and halves at a known budget is enclosed to 5 % after at most 19 budgets."""
    curve = {0.0: 80.0, 0.1: 80.0 * (1 - 0.05 / half)}
    for _ in range(20):
        following = step(curve, most=30)
        if following.next is None:
            break
        assert following.next not in curve
        curve = dict(sorted({**curve, following.next: 80.0 * (1 - following.next / half / 2)}.items()))
    assert following.why == "resolved"
    assert following.between is not None
    low, high = following.between
    assert low < half * (1 + 1e-9)
    assert high > half * (1 - 1e-9)
    assert high - low <= RESOLUTION * high
