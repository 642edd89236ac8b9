"""Termination rules of imagined episodes, one per task, on the observations that the learned model predicts.

They take observations (B, S) only, by operators and methods that torch tensors and numpy arrays share. The rules of
Hopper, HalfCheetah and Walker2d are MICRO's (arXiv:2312.03991, reference code), with a misplaced parenthesis of its
Hopper rule corrected. The others are the tasks' own. A prediction that is not finite always terminates.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Rows = TypeVar("Rows", "torch.Tensor", npt.NDArray[Any])


class ImaginedTerminal(Protocol):
    """The rule that ends an imagined rollout."""

    def __call__(self, next_obs: Rows, /) -> Rows:
        """A mask (B,) of the rows of `next_obs` (B, S) that end the episode, torch or numpy as `next_obs` is."""
        ...


def hopper_falls(next_obs: Rows, /) -> Rows:
    """Not (all finite, |next_obs[1:]| < 100, height > 0.7, |angle| < 0.2)."""
    height, angle = next_obs[:, 0], next_obs[:, 1]
    within = (abs(next_obs[:, 1:]) < 100).all(1) & (height < inf)
    healthy: Any = within & (height > 0.7) & (abs(angle) < 0.2)
    ends: Rows = ~healthy
    return ends


def walker2d_falls(next_obs: Rows, /) -> Rows:
    """Not (all |next_obs| < 100, 0.8 < height < 2, |angle| < 1)."""
    height, angle = next_obs[:, 0], next_obs[:, 1]
    healthy: Any = (abs(next_obs) < 100).all(1) & (height > 0.8) & (height < 2.0) & (abs(angle) < 1.0)
    ends: Rows = ~healthy
    return ends


def half_cheetah_ends(next_obs: Rows, /) -> Rows:
    """Not all |next_obs| < 100: the cheetah never falls, but a prediction may leave every plausible range."""
    within: Any = (abs(next_obs) < 100).all(1)
    ends: Rows = ~within
    return ends


def ant_falls(next_obs: Rows, /) -> Rows:
    """Not (all finite and 0.2 ≤ height ≤ 1)."""
    height = next_obs[:, 0]
    healthy: Any = (abs(next_obs) < inf).all(1) & (height >= 0.2) & (height <= 1.0)
    ends: Rows = ~healthy
    return ends


def humanoid_falls(next_obs: Rows, /) -> Rows:
    """Not (all finite and 1 < height < 2)."""
    height = next_obs[:, 0]
    healthy: Any = (abs(next_obs) < inf).all(1) & (height > 1.0) & (height < 2.0)
    ends: Rows = ~healthy
    return ends


def pendulum_falls(next_obs: Rows, /) -> Rows:
    """Not (all finite and |angle| ≤ 0.2)."""
    healthy: Any = (abs(next_obs) < inf).all(1) & (abs(next_obs[:, 1]) <= 0.2)
    ends: Rows = ~healthy
    return ends


def pen_drops(next_obs: Rows, /) -> Rows:
    """Not (all finite and the pen at least 0.075 m high), as D4RL's AdroitHandPen has it."""
    held: Any = (abs(next_obs) < inf).all(1) & (next_obs[:, 26] >= 0.075)
    ends: Rows = ~held
    return ends


def never_ends(next_obs: Rows, /) -> Rows:
    """Only a prediction that is not finite ends: for tasks whose own rule is unknown."""
    finite: Any = (abs(next_obs) < inf).all(1)
    ends: Rows = ~finite
    return ends
