"""What the batched simulator needs of a task: types of rows, and a record of pure functions."""

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
    """The physics of b rows: `qpos` (b, nq), `qvel` (b, nv) and what else the task asked for (b, …)."""

    qpos: Floats
    qvel: Floats
    derived: Mapping[str, Floats] = field(default_factory=dict)


Reward: TypeAlias = Callable[[Floats, Actions, Bools, State], Floats]


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What turns bare MuJoCo into the Gymnasium task: pure functions of rows, and Gymnasium's model file.

    `reset_noise(rng, nq, nv)` draws what is added to the model's default qpos and to zero qvel; `position` is
    what the forward velocity is measured on; `reward(velocity (b,), action (b, A), fallen (b,), state)`; `derived`
    names the MjData fields and `constants` the MjModel fields wanted in `State.derived`.
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
