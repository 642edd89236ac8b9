"""Distributions of random points in the ball: random attacks, candidates and starts of searches draw from them.

Each is (threat, obs (B, S), noise, n) → points (B, N, S), all inside the ball; a row draws from its own stream.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from attacks.noise import Noise
from attacks.threat import Threat

Draw = Callable[[Threat, Tensor, Noise, int], Tensor]


def uniform(threat: Threat, obs: Tensor, noise: Noise, n: int) -> Tensor:
    """Points (B, N, S) uniform in the ball."""
    return threat.sample(obs, noise, n)


def corner(threat: Threat, obs: Tensor, noise: Noise, n: int) -> Tensor:
    """Points (B, N, S) uniform among the corners of the box (linf), or on the surface of the ellipsoid (l2)."""
    if threat.norm == "linf":
        return _at_rows(threat, obs, noise.uniform(n, obs.shape[-1]), Threat.edge)
    return _at_rows(threat, obs, noise.normal(n, obs.shape[-1]) * threat.scale.cpu(), Threat.edge)


def gaussian(threat: Threat, obs: Tensor, noise: Noise, n: int) -> Tensor:
    """Points (B, N, S), normal with a standard deviation of eps·scale per sensor, projected into the ball."""
    return _at_rows(threat, obs, noise.normal(n, obs.shape[-1]), _shifted)


DRAWS: Mapping[str, Draw] = {draw.__name__: draw for draw in (uniform, corner, gaussian)}


def drawing(name: str) -> Draw:
    """Return the draw of this name; ValueError if there is none."""
    if name not in DRAWS:
        raise ValueError(f"There is no draw {name!r}; choose one of {', '.join(DRAWS)}.")
    return DRAWS[name]


def _shifted(threat: Threat, obs: Tensor, direction: Tensor) -> Tensor:
    return obs + (threat.half_width.to(obs) * direction).to(obs)


def _at_rows(
    threat: Threat, obs: Tensor, directions: Tensor, moved: Callable[[Threat, Tensor, Tensor], Tensor]
) -> Tensor:
    """The points (B, N, S): moved(threat, obs, direction) (B, S) of every direction (B, N, S), in the ball."""
    n = directions.shape[1]
    row = torch.arange(len(obs), device=obs.device).repeat_interleave(n)
    own, clean = threat.rows(row), obs[row]
    return own.project(clean, moved(own, clean, directions.flatten(0, 1).to(obs))).reshape(-1, n, obs.shape[-1])
