"""The search on vectors alone: one move by hand, what ranks ignore, and a valley that it finds."""

import numpy as np
import pytest

from microbench.adversaries.evolution import Settings, candidates, moved


def test_a_move_by_hand() -> None:
    """Ranks of (1, 5 | 3, 4) are (1, 4 | 2, 3), with a deviation of √1.25; Σ (R₊ − R₋)·noise = −1·1 + 1·2."""
    settings = Settings(directions=2, best=2, rate=0.3)
    there = moved(np.array([10.0]), np.array([[1.0], [2.0]]), np.array([1.0, 5, 3, 4]), settings)
    assert there == pytest.approx([10 - 0.3 / (2 * np.sqrt(1.25))])


def test_only_the_directions_with_the_smallest_return_count() -> None:
    settings = Settings(directions=2, best=1, rate=1.0)
    there = moved(np.zeros(2), np.eye(2), np.array([5.0, 0, 6, 1]), settings)
    assert there == pytest.approx([0, 1 / 0.5])  # ranks (1 | 2): −1, towards the smaller return


def test_candidates_are_pairs_around_the_centre() -> None:
    noise = np.random.default_rng(0).normal(size=(3, 4))
    plus, minus = np.split(candidates(np.ones(4), noise, Settings(sigma=0.5)), 2)
    np.testing.assert_allclose(plus - minus, noise)
    np.testing.assert_allclose(plus + minus, 2)


def test_equal_returns_move_nothing_and_only_the_order_counts() -> None:
    rng, settings = np.random.default_rng(1), Settings(directions=8, best=4)
    noise, returns = rng.normal(size=(8, 3)), rng.normal(size=16)
    assert moved(np.ones(3), noise, np.full(16, 7.0), settings).tolist() == [1, 1, 1]
    np.testing.assert_array_equal(
        moved(np.ones(3), noise, returns, settings), moved(np.ones(3), noise, np.exp(3 * returns), settings)
    )


def test_a_valley_is_found() -> None:
    target, settings, centre = np.array([2.0, -1.0, 0.5]), Settings(sigma=0.1, rate=0.1), np.zeros(3)
    rng = np.random.default_rng(0)
    for _ in range(60):
        noise = rng.normal(size=(32, 3))
        tried = candidates(centre, noise, settings)
        centre = moved(centre, noise, np.square(tried - target).sum(1), settings)
    assert np.abs(centre - target).max() < 0.2
