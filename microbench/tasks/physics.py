"""The batched simulator's view of a task: types of rows, and a record of pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Actions: TypeAlias = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class State:
    """The physics of b rows: `qpos` (b, nq), `qvel` (b, nv) and further fields that the task names, (b, …)."""

    qpos: Floats
    qvel: Floats
    derived: Mapping[str, Floats] = field(default_factory=dict)


Reward: TypeAlias = Callable[[Floats, Actions, Bools, State], Floats]


@dataclass(frozen=True, kw_only=True)
class Physics:
    """Pure functions of rows and a model file that turn bare MuJoCo into the Gymnasium task.

    xml          Gymnasium's model file
    reset_noise  (rng, nq, nv) → noise that is added to the model's default qpos and to zero qvel
    position     state → the coordinate (b,) whose difference is the forward velocity
    observe      state → obs (b, S)
    fallen       state → rows (b,) that terminate
    reward       velocity (b,), action (b, A), fallen (b,), state → reward (b,)
    derived      names of the MjData fields in `State.derived`
    constants    names of the MjModel fields in `State.derived`
    """

    xml: str
    frame_skip: int
    reset_noise: Callable[[np.random.Generator, int, int], tuple[Floats, Floats]]
    position: Callable[[State], Floats]
    observe: Callable[[State], Floats]
    fallen: Callable[[State], Bools]
    reward: Reward
    derived: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
