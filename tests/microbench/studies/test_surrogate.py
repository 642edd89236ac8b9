"""The search on functions whose lowest point is known: how much of the depth it reaches, and where it looks."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from microbench.studies.surrogate import Floats, first_points, fitted, next_points

Function = Callable[[Floats], Floats]


def bowl(centre: list[float], width: float) -> Function:
    return lambda x: 1 - np.exp(-((x - np.array(centre)) ** 2).sum(1) / (2 * width**2))


def cliff(x: Floats) -> Floats:
    """A plateau, beyond a slanted line a floor eighty percent lower, as where a robot falls."""
    return np.asarray(1 - 0.8 / (1 + np.exp(-30 * (0.6 * x[:, 0] + 0.8 * x[:, 1] - 1.05))) - 0.02 * x[:, 0])


def valley(x: Floats) -> Floats:
    """Narrow across and shallow along a diagonal."""
    return np.asarray(2 * np.abs(x[:, 0] + x[:, 1] - 1.1) + (x[:, 0] - x[:, 1] - 0.3) ** 2)


FUNCTIONS: dict[str, tuple[int, Function]] = {
    "corner": (2, lambda x: np.asarray(x[:, 0] - 2 * x[:, 1])),
    "inside": (2, bowl([0.37, 0.62], 0.12)),
    "side": (2, bowl([1.0, 0.7], 0.15)),
    "cliff": (2, cliff),
    "valley": (2, valley),
    "one axis": (1, bowl([0.29], 0.08)),
    "one axis decides": (3, lambda x: bowl([0.4], 0.15)(x[:, 1:2])),
    "three axes": (3, bowl([0.37, 0.62, 0.3], 0.25)),
}


def searched(function: Function, d: int, n: int, seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    points = first_points(d, max(n // 3, 1 + 2**d), rng)
    values = function(points)
    while len(points) < n:
        batch = next_points(points, values, min(4, n - len(points)), rng)
        points, values = np.vstack([points, batch]), np.append(values, function(batch))
    return points, values


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forty_points_reach_98_percent_of_the_depth_of_a_fine_grid(name: str) -> None:
    """The mean of three seeds; the grid has up to 8,000 points."""
    d, function = FUNCTIONS[name]
    grid = np.array(list(itertools.product(np.linspace(0, 1, 61 if d < 3 else 20), repeat=d)))
    high, low = function(grid).max(), function(grid).min()
    reached = [(high - searched(function, d, 40, seed)[1].min()) / (high - low) for seed in range(3)]
    assert np.mean(reached) >= 0.98, reached


def test_points_lie_in_the_cube_none_is_tried_twice_and_the_same_seed_gives_the_same_ones() -> None:
    points, values = searched(cliff, 2, 40, 0)
    assert points.shape == (40, 2)
    assert ((points >= 0) & (points <= 1)).all()
    distances = np.abs(points[:, None] - points[None]).max(-1)[~np.eye(40, dtype=bool)]
    assert distances.min() > 0
    again, _ = searched(cliff, 2, 40, 0)
    assert (again == points).all()
    assert np.isfinite(values).all()


@pytest.mark.parametrize(("d", "corners"), [(1, 2), (2, 4), (4, 16), (5, 0)])
def test_the_centre_and_the_corners_come_first(d: int, corners: int) -> None:
    points = first_points(d, 40, np.random.default_rng(0))
    assert points.shape == (40, d)
    assert (points[0] == 0.5).all()
    on_corners = np.isin(points, (0.0, 1.0)).all(1)
    assert np.flatnonzero(on_corners).tolist() == list(range(1, 1 + corners))
    assert len(first_points(d, 1, np.random.default_rng(0))) == 1


def test_a_value_that_is_missing_counts_as_the_highest_and_equal_values_are_no_trouble() -> None:
    points = first_points(2, 12, np.random.default_rng(0))
    values = points.sum(1)
    values[int(np.argmin(values))] = np.inf  # the lowest corner
    for broken in (values, np.full(12, np.inf), np.full(12, 3.0)):
        batch = next_points(points, broken, 4, np.random.default_rng(1))
        assert np.isfinite(batch).all()
        assert batch.shape == (4, 2)


def test_the_process_passes_through_values_without_noise_and_knows_less_away_from_them() -> None:
    points = np.linspace(0, 1, 9)[:, None]
    values = np.sin(4 * points[:, 0])
    values = (values - values.mean()) / values.std()
    surrogate = fitted(points, values)
    mean, deviation = surrogate.at(points)
    assert mean == pytest.approx(values, abs=0.02)
    assert surrogate.at(np.array([[1.8]]))[1][0] > 3 * deviation.max()
