"""Evolution of a vector of numbers on the returns that it leaves: augmented random search on ranks, as pure functions.

Mania et al. 2018, arXiv:1803.07055, algorithm 1 (version t), with ranks in place of returns as in natural evolution
strategies (Wierstra et al. 2014, JMLR 15): returns of robots that fall or do not lie in two heaps, and their spread
says little. Shapes: P numbers, N directions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides a search besides its seed.

    An iteration tries `directions` both ways at a distance of `sigma` per number, and moves by `rate` along the `best`
    of them. The centre is judged on episodes of its own every `judge_every` iterations.
    """

    directions: int = 32
    best: int = 16
    sigma: float = 0.5
    rate: float = 0.3
    judge_every: int = 5


def candidates(centre: Vector, noise: Vector, settings: Settings) -> Vector:
    """The 2·N vectors (2N, P) to be tried: centre ± sigma·noise, first all of the one sign and then of the other."""
    return np.concatenate([centre + settings.sigma * noise, centre - settings.sigma * noise])


def moved(centre: Vector, noise: Vector, returns: Vector, settings: Settings) -> Vector:
    """The next centre (P,): −rate/(b·σ_R)·Σ (R₊ − R₋)·noise further, over the b directions with the smallest return.

    `returns` (2N,) are those of `candidates`. R are the ranks of the 2·b returns that count, σ_R is their standard
    deviation, and equal returns share a rank: where all are equal nothing moves.
    """
    plus, minus = np.split(returns, 2)
    kept = np.argsort(np.minimum(plus, minus), kind="stable")[: settings.best]
    ranks = rankdata(np.concatenate([plus[kept], minus[kept]]))
    spread = float(ranks.std())
    if spread == 0:
        return centre
    better, worse = np.split(ranks, 2)
    step = np.einsum("n,np->p", better - worse, noise[kept])
    return np.asarray(centre - settings.rate / (len(kept) * spread) * step)
