"""What a disturbance is: the signals between world and policy, changed while an episode runs.

A, S, nbody: the numbers of actions, sensors and bodies.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from mujoco import MjModel

Obs: TypeAlias = npt.NDArray[np.float64]
Action: TypeAlias = npt.NDArray[np.float32]
Wrench: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a disturbance may know of the episode it is made for."""

    model: MjModel
    """The model that is simulated, perturbed already."""
    obs_scale: Obs
    """(S,) the raw size of one unit, per sensor."""
    action_low: Action
    """(A,) the lower ends of the actuators' ranges."""
    action_high: Action
    """(A,) the upper ends of the actuators' ranges."""
    dt: float
    """Seconds between two actions."""
    rng: np.random.Generator
    """Of this episode and this disturbance alone."""


class Signals:
    """The signals of one episode, once per control step in the order seen, executed, wrench; here all pass unchanged.

    An object belongs to one episode and may keep what it needs to remember. No method may write into its argument.
    """

    def seen(self, obs: Obs) -> Obs:
        """What the policy receives (S,) of the true observation (S,)."""
        return obs

    def executed(self, action: Action) -> Action:
        """What the actuators receive (A,) of the policy's action (A,)."""
        return action

    def wrench(self) -> Wrench | None:
        """Force (N) and torque (N·m) on every body (nbody, 6) for this control step, in the world's frame, or None.

        Applied at the bodies' centres of mass, as MuJoCo's `xfrc_applied`.
        """
        return None


Disturbance: TypeAlias = Callable[[Setting], Signals]
"""Makes the signals of one episode.

It draws unit numbers and multiplies them by the factor afterwards, as many at every factor, so that two factors differ
in the size of the same disturbance and not in its draws.
"""


def check_amount(name: str, factor: float, most: float = math.inf) -> None:
    """Raise ValueError unless 0 ≤ factor ≤ most and it is finite."""
    if not math.isfinite(factor) or not 0 <= factor <= most:
        wanted = "finite and not negative" if most == math.inf else f"between 0 and {most:g}"
        raise ValueError(f"a factor must be {wanted} for {name}, not {factor}: 0 disturbs nothing.")
