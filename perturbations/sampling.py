"""Random factors from an uncertainty set, a box with one range per perturbation. n samples, d ranges."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

DIGITS = 4
"""Number of significant digits of a factor, few enough for a table to name a cell by its exact factor."""


def uniform(ranges: Sequence[tuple[float, float]], n: int, rng: np.random.Generator) -> Floats:
    """N independent points (n, d), uniform in the box, rounded to 4 significant digits inside it.

    Raises:
        ValueError: no range, a range that is not finite or whose end lies below its start, or n < 1.
    """
    low, high = _ends(ranges, n)
    return _rounded(low + (high - low) * rng.random((n, len(low))), low, high)


def latin_hypercube(ranges: Sequence[tuple[float, float]], n: int, rng: np.random.Generator) -> Floats:
    """N points (n, d), one in each of n equal slices of every range (McKay, Beckman & Conover 1979, Technometrics 21).

    Points are rounded to 4 significant digits inside the box; a point may leave a slice that is narrower than that.

    Raises:
        ValueError: as `uniform`.
    """
    low, high = _ends(ranges, n)
    slices = rng.permuted(np.tile(np.arange(n), (len(low), 1)), axis=1).T  # (n, d)
    return _rounded(low + (high - low) * (slices + rng.random(slices.shape)) / n, low, high)


def _ends(ranges: Sequence[tuple[float, float]], n: int) -> tuple[Floats, Floats]:
    if n < 1 or not ranges:
        raise ValueError(f"{n} samples of {len(ranges)} ranges cannot be drawn: ask for one of each at least.")
    for low, high in ranges:
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"({low}, {high}) is no range: give two finite numbers, the smaller one first.")
    ends = np.array(ranges, dtype=np.float64)
    return ends[:, 0], ends[:, 1]


def _rounded(points: Floats, low: Floats, high: Floats) -> Floats:
    rounded = np.array([[float(f"{value:.{DIGITS}g}") for value in point] for point in points])
    within: Floats = np.clip(rounded, low, high)
    return within
