"""Gymnasium's locomotion tasks as pure functions of many rows: what they show, what they pay, when they end.

Written so that every row equals, bit for bit, what the Gymnasium environment computes for that row alone:
the same operations in the same order, and the control cost in the action's own dtype (Gymnasium multiplies a
Python float by the float32 sum of squares). The `imagined_*` rules are for the learned model's rollouts: they
see observations only, (B, S), and work for torch tensors and numpy arrays alike; they are those of MICRO's
reference code (arXiv:2312.03991) with the misplaced parenthesis of its Hopper rule put right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Actions: TypeAlias = npt.NDArray[np.floating[Any]]
Reward: TypeAlias = Callable[[Floats, Actions, Bools], Floats]
Rows = TypeVar("Rows", "torch.Tensor", npt.NDArray[Any])


class ImaginedTerminal(Protocol):
    """The rule that ends an imagined rollout."""

    def __call__(self, next_obs: Rows, /) -> Rows:
        """Which rows of `next_obs` (B, S) end the episode, (B,) bool, of the kind given (torch or numpy)."""
        ...


@dataclass(frozen=True)
class State:
    """The physics of b rows: `qpos` (b, nq), `qvel` (b, nv) and the derived fields the task asked for (b, …)."""

    qpos: Floats
    qvel: Floats
    derived: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What turns bare MuJoCo into the Gymnasium task: pure functions of rows, and Gymnasium's model file.

    `reset_noise(rng, nq, nv)` draws what is added to the model's default qpos and to zero qvel; `position` is
    what the forward velocity is measured on; `reward(velocity (b,), action (b, A), fallen (b,))`; `derived`
    names the MjData fields wanted in `State.derived`.
    """

    xml: str
    frame_skip: int
    reset_noise: Callable[[np.random.Generator, int, int], tuple[Floats, Floats]]
    position: Callable[[State], Floats]
    observe: Callable[[State], Floats]
    fallen: Callable[[State], Bools]
    reward: Reward
    derived: tuple[str, ...] = ()


def uniform_noise(rng: np.random.Generator, nq: int, nv: int, *, scale: float) -> tuple[Floats, Floats]:
    """Both qpos and qvel uniform on [−scale, scale], in this order."""
    qpos = rng.uniform(low=-scale, high=scale, size=nq)
    return qpos, rng.uniform(low=-scale, high=scale, size=nv)


def normal_velocity_noise(rng: np.random.Generator, nq: int, nv: int, *, scale: float) -> tuple[Floats, Floats]:
    """Qpos uniform on [−scale, scale], then qvel normal with standard deviation `scale`."""
    qpos = rng.uniform(low=-scale, high=scale, size=nq)
    return qpos, scale * rng.standard_normal(nv)


def root_x(state: State) -> Floats:
    """The first coordinate, along the track."""
    return state.qpos[:, 0]


def unclipped(state: State) -> Floats:
    """The pose without its place along the track, then the velocities: (b, nq − 1 + nv)."""
    return np.concatenate([state.qpos[:, 1:], state.qvel], axis=1)


def clipped(state: State) -> Floats:
    """As `unclipped`, with velocities cut to ±10 (Hopper, Walker2d)."""
    return np.concatenate([state.qpos[:, 1:], np.clip(state.qvel, -10, 10)], axis=1)


def hopper_falls(state: State) -> Bools:
    """Not (height > 0.7, |angle| < 0.2, all else within ±100), on the unclipped state."""
    height, angle = state.qpos[:, 1], state.qpos[:, 2]
    rest = np.concatenate([state.qpos, state.qvel], axis=1)[:, 2:]
    within: Bools = np.all((rest > -100) & (rest < 100), axis=1)
    return ~(within & (height > 0.7) & (angle > -0.2) & (angle < 0.2))


def walker2d_falls(state: State) -> Bools:
    """Not (0.8 < height < 2 and |angle| < 1)."""
    height, angle = state.qpos[:, 1], state.qpos[:, 2]
    return ~((height > 0.8) & (height < 2.0) & (angle > -1.0) & (angle < 1.0))


def never_falls(state: State) -> Bools:
    """HalfCheetah only ever runs out of time."""
    return np.zeros(len(state.qpos), dtype=np.bool_)


def control_cost(action: Actions, weight: float) -> Floats:
    """Weight · |a|², (b,), in the action's dtype."""
    cost: Floats = weight * np.square(action).sum(axis=1)
    return cost


def run_reward(velocity: Floats, action: Actions, fallen: Bools) -> Floats:
    """Velocity − 0.1 · |a|²."""
    return velocity - control_cost(action, 0.1)


def v4_hop_reward(velocity: Floats, action: Actions, fallen: Bools) -> Floats:
    """Velocity + 1 − 0.001 · |a|²; the 1 is paid on the terminal step too."""
    return velocity + 1.0 - control_cost(action, 1e-3)


def v5_hop_reward(velocity: Floats, action: Actions, fallen: Bools) -> Floats:
    """Velocity + [healthy] − 0.001 · |a|²; nothing is paid for the step that falls."""
    return velocity + ~fallen * 1.0 - control_cost(action, 1e-3)


def imagined_hopper_falls(next_obs: Rows, /) -> Rows:
    """Not (all finite, |next_obs[1:]| < 100, height > 0.7, |angle| < 0.2)."""
    height, angle = next_obs[:, 0], next_obs[:, 1]
    within = (abs(next_obs[:, 1:]) < 100).all(1) & (height < inf)
    healthy: Any = within & (height > 0.7) & (abs(angle) < 0.2)
    ends: Rows = ~healthy
    return ends


def imagined_walker2d_falls(next_obs: Rows, /) -> Rows:
    """Not (all |next_obs| < 100, 0.8 < height < 2, |angle| < 1)."""
    height, angle = next_obs[:, 0], next_obs[:, 1]
    healthy: Any = (abs(next_obs) < 100).all(1) & (height > 0.8) & (height < 2.0) & (abs(angle) < 1.0)
    ends: Rows = ~healthy
    return ends


def imagined_half_cheetah_ends(next_obs: Rows, /) -> Rows:
    """Not all |next_obs| < 100: the cheetah never falls, but a prediction may leave the world."""
    within: Any = (abs(next_obs) < 100).all(1)
    ends: Rows = ~within
    return ends


def imagined_never_ends(next_obs: Rows, /) -> Rows:
    """Only a prediction that is not finite ends: for tasks whose own rule is unknown."""
    finite: Any = (abs(next_obs) < inf).all(1)
    ends: Rows = ~finite
    return ends
