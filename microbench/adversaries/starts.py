"""Where a search may begin: at nothing, or at the map nearest to what an attack that follows gradients pushes.

Shapes: B observations, S sensors, H memory, O open sensors, P numbers.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import attacks
from attacks import Noise
from microbench.adversaries.evolved import Map
from microbench.adversaries.opponent import Opponent
from microbench.adversaries.statistics import normalised
from microbench.checkpoints.offers import missing

FOLLOWED = ("pgd", "action-diff")
GAINS = (1.0, 3.0)
"""A least-squares map is small where pushes change their sign within one region; three times as large saturates."""

RIDGE = 1e-3
STATES = 2000


def starts(opponent: Opponent, shape: Map, obs: Tensor, seed: int) -> dict[str, NDArray[np.float64]]:
    """Name → P numbers to begin with, `nothing` first; obs (B, S + H) are states of clean episodes.

    An attack that the policy cannot serve gives no start.
    """
    begin = {"nothing": np.zeros(shape.size)}
    served = [name for name in FOLLOWED if not missing(attacks.resolve(name), opponent.target)]
    if not served or not len(obs):
        return begin
    chosen = np.random.default_rng((seed, 1)).choice(len(obs), min(STATES, len(obs)), replace=False)
    states = obs[torch.from_numpy(np.sort(chosen))]
    for name in served:
        numbers = regressed(opponent, shape, states, name)
        begin |= {f"{name} ×{gain:g}": gain * numbers for gain in GAINS}
    return begin


def regressed(opponent: Opponent, shape: Map, obs: Tensor, name: str) -> NDArray[np.float64]:
    """The P numbers of the map whose u is nearest (least squares, ridge) to the attack's push in units of the budget.

    For `constant` that is its mean push.
    """
    threat, sensors = opponent.threat, len(shape.open)
    seen = attacks.resolve(name)(opponent.target, obs, threat, Noise.from_seeds(range(len(obs))))
    half = threat.half_width[:sensors].double().numpy()[shape.open]
    push = (threat.project(obs, seen) - obs)[:, :sensors].double().numpy()[:, shape.open] / half
    if shape.kind == "constant":
        return np.asarray(push.mean(0))
    z = normalised(obs[:, :sensors], shape.mean, shape.std).double().numpy()
    features = np.c_[z, np.ones(len(z))]
    square = features.T @ features + RIDGE * len(z) * np.eye(features.shape[1])
    solution = np.linalg.solve(square, features.T @ push).T  # (O, S + 1)
    return shape.numbers(solution[:, :-1], solution[:, -1])
