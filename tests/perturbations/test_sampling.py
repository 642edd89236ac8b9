"""Points of an uncertainty set."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from perturbations import latin_hypercube, uniform

RANGES = [(0.5, 1.5), (-3.0, 7.0), (2.0, 2.0)]


@pytest.mark.parametrize("draw", [uniform, latin_hypercube])
def test_points_lie_in_the_box_with_four_digits_and_can_be_drawn_again(draw: Callable[..., Any]) -> None:
    points = draw(RANGES, 50, np.random.default_rng(3))
    assert points.shape == (50, 3)
    assert (points >= [low for low, _ in RANGES]).all()
    assert (points <= [high for _, high in RANGES]).all()
    assert all(float(f"{value:.4g}") == value for value in points.ravel())
    assert np.array_equal(points, draw(RANGES, 50, np.random.default_rng(3)))
    assert not np.array_equal(points, draw(RANGES, 50, np.random.default_rng(4)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 7, 20])
def test_a_latin_hypercube_has_one_point_in_every_slice_of_every_range(n: int, seed: int) -> None:
    points = latin_hypercube([(0.0, n), (1.0, 1.0 + n)], n, np.random.default_rng(seed))
    for column, low in zip(points.T, (0.0, 1.0), strict=True):
        assert sorted(np.floor(column - low).astype(int)) == list(range(n))


def test_the_columns_of_a_latin_hypercube_are_shuffled_apart() -> None:
    points = latin_hypercube([(0.0, 1.0), (0.0, 1.0)], 100, np.random.default_rng(0))
    first, second = points.T
    assert abs(np.mean((first - 0.5) * (second - 0.5)) * 12) < 0.3  # about 0.1 by chance; 1 if they shared their order


def test_uniform_points_fill_the_box() -> None:
    points = uniform([(0.0, 1.0), (10.0, 14.0)], 4000, np.random.default_rng(0))
    np.testing.assert_allclose(points.mean(axis=0), [0.5, 12.0], atol=0.1)
    np.testing.assert_allclose(points.std(axis=0), [1 / 12**0.5, 4 / 12**0.5], atol=0.05)


@pytest.mark.parametrize("draw", [uniform, latin_hypercube])
@pytest.mark.parametrize(
    ("ranges", "n", "complaint"),
    [
        ([], 3, "3 samples of 0 ranges"),
        ([(0, 1)], 0, "0 samples of 1 ranges"),
        ([(1, 0)], 1, r"\(1, 0\) is no range"),
        ([(0, float("nan"))], 1, "is no range"),
        ([(0, float("inf"))], 1, "is no range"),
    ],
)
def test_what_is_no_box_is_refused(draw: Callable[..., Any], ranges: Any, n: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        draw(ranges, n, np.random.default_rng(0))
