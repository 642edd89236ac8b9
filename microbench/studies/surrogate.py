"""The lowest point of a noisy function on the unit cube, for few and costly evaluations in batches.

A Gaussian process is fitted to what was evaluated; the next batch lies where it expects low values or knows little.
Points are judged by lower confidence bounds (Cox & John 1992, "A statistical method for global optimization"), and a
batch grows by the "kriging believer" of Ginsbourger, Le Riche & Carraro 2010. d axes, n points.
"""

import itertools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.linalg

Floats: TypeAlias = npt.NDArray[np.float64]

MOST_CORNERS = 16
"""Corners that are evaluated first: those of up to four axes."""

LENGTHS = (0.15, 0.3, 0.6, 1.2, 4.0)
"""Distances along one axis over which values stay alike; the last means that the axis decides nearly nothing."""

NOISES = (1e-3, 1e-2, 0.1, 0.5)
"""Variances of what no smooth function explains, as shares of the variance of the values."""

APART = 0.005
"""How far from each other, along some axis, points are evaluated at least."""

BOLDNESS = (0.3, 1.8)
"""How many standard deviations below its mean a point is judged by: alternating, to refine and to explore."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Surrogate:
    """A Gaussian process of zero mean and unit variance, given standardized values at some points."""

    points: Floats
    lengths: Floats
    factor: Floats
    weights: Floats
    log_likelihood: float

    def at(self, points: Floats) -> tuple[Floats, Floats]:
        """Expected value and standard deviation, (n,) each, at points (n, d)."""
        kernel = _kernel(points, self.points, self.lengths)
        half = scipy.linalg.solve_triangular(self.factor, kernel.T, lower=True)
        return kernel @ self.weights, np.sqrt(np.maximum(1 - (half**2).sum(0), 1e-12))


def first_points(d: int, n: int, rng: np.random.Generator) -> Floats:
    """The centre, all corners of up to four axes, and a Latin hypercube for the rest: (n, d)."""
    corners = list(itertools.product((0.0, 1.0), repeat=d)) if 2**d <= MOST_CORNERS else []
    known = np.array([[0.5] * d, *corners])[:n]
    return np.vstack([known, _spread(n - len(known), d, rng)])


def next_points(points: Floats, values: Floats, n: int, rng: np.random.Generator) -> Floats:
    """The n points (n, d) to be evaluated after these points with these values, the most promising first.

    Values that are not finite count as the highest that is.
    """
    finite = np.isfinite(values)
    standard = _standardized(np.where(finite, values, values[finite].max() if finite.any() else 0.0))
    surrogate = fitted(points, standard)
    batch = points[:0]
    for place in range(n):
        options = _options(points[np.argsort(standard, kind="stable")[:2]], rng)
        mean, deviation = surrogate.at(options)
        again = (np.abs(options[:, None] - points[None]).max(-1) < APART).any(1)
        best = int(np.argmin(np.where(again, np.inf, mean - BOLDNESS[place % len(BOLDNESS)] * deviation)))
        batch = np.vstack([batch, options[best]])
        believed = np.append(standard, mean[best])
        points, standard = np.vstack([points, options[best]]), believed
        surrogate = _conditioned(points, standard, surrogate.lengths, _noise_of(surrogate))
    return batch


def fitted(points: Floats, values: Floats) -> Surrogate:
    """The process whose length along each axis and whose noise make the values likeliest, one after the other."""
    d = points.shape[1]
    alike = [(np.full(d, length), noise) for length in LENGTHS for noise in NOISES]
    best = max((_conditioned(points, values, *one) for one in alike), key=lambda one: one.log_likelihood)
    for axis in range(d) if d > 1 else ():
        for length in LENGTHS:
            lengths = best.lengths.copy()
            lengths[axis] = length
            other = _conditioned(points, values, lengths, _noise_of(best))
            best = max(best, other, key=lambda one: one.log_likelihood)
    return best


def _conditioned(points: Floats, values: Floats, lengths: Floats, noise: float) -> Surrogate:
    covariance = _kernel(points, points, lengths) + noise * np.eye(len(points))
    factor = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    weights = scipy.linalg.cho_solve((factor, True), values)
    log_likelihood = float(-0.5 * values @ weights - np.log(np.diag(factor)).sum())
    return Surrogate(points=points, lengths=lengths, factor=factor, weights=weights, log_likelihood=log_likelihood)


def _noise_of(surrogate: Surrogate) -> float:
    """The variance that was added on the diagonal, where the kernel is 1."""
    return float(surrogate.factor[0, 0] ** 2 - 1)


def _kernel(one: Floats, other: Floats, lengths: Floats) -> Floats:
    squares: Floats = (((one[:, None] - other[None]) / lengths) ** 2).sum(-1)
    return np.exp(-0.5 * squares)


def _options(best: Floats, rng: np.random.Generator) -> Floats:
    """Points among which the next is taken: spread over the cube, near the best ones, and on its sides."""
    d = best.shape[1]
    near = best[rng.integers(len(best), size=200)] + 0.08 * rng.standard_normal((200, d))
    options = np.clip(np.vstack([_spread(300, d, rng), near]), 0, 1)
    return np.where(rng.random(options.shape) < 0.15, np.round(options), options)


def _spread(n: int, d: int, rng: np.random.Generator) -> Floats:
    slices = rng.permuted(np.tile(np.arange(n), (d, 1)), axis=1).T
    return np.asarray((slices + rng.random((n, d))) / max(n, 1), dtype=np.float64)


def _standardized(values: Floats) -> Floats:
    spread = float(values.std())
    return np.asarray((values - values.mean()) / (spread if spread > 0 else 1.0), dtype=np.float64)
