"""A disturbance changes the signals between world and policy while an episode runs.

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
    """The episode that a disturbance acts on: its model, scales and random generator."""

    model: MjModel
    """The simulated model, with all perturbations of the physics."""
    obs_scale: Obs
    """Raw size (S,) of one unit of each sensor."""
    action_low: Action
    """Lower ends (A,) of the actuators' ranges."""
    action_high: Action
    """Upper ends (A,) of the actuators' ranges."""
    dt: float
    """Seconds between two actions."""
    rng: np.random.Generator
    """Random generator of this episode and this disturbance alone."""


class Signals:
    """The signals of one episode; this class passes all of them unchanged.

    In each control step the caller runs `seen`, `executed` and `wrench`, in this order. An object belongs to one
    episode and may keep a state. No method may write into its argument.
    """

    def seen(self, obs: Obs) -> Obs:
        """Return the observation (S,) that the policy receives, for the true one (S,)."""
        return obs

    def executed(self, action: Action) -> Action:
        """Return the action (A,) that the actuators receive, for the policy's (A,)."""
        return action

    def wrench(self) -> Wrench | None:
        """Return force (N) and torque (N·m) on every body (nbody, 6) in the world's frame for this step; None if zero.

        They act at the bodies' centres of mass, as MuJoCo's `xfrc_applied`.
        """
        return None


Disturbance: TypeAlias = Callable[[Setting], Signals]
"""A disturbance makes the signals of one episode.

It draws as many unit numbers at every factor and multiplies them by the factor afterwards, so that two factors differ
in the size of the same disturbance and not in its draws.
"""


def check_amount(name: str, factor: float, most: float = math.inf) -> None:
    """Raise ValueError unless the factor is finite and 0 ≤ factor ≤ most."""
    if not math.isfinite(factor) or not 0 <= factor <= most:
        wanted = "finite and not negative" if most == math.inf else f"between 0 and {most:g}"
        raise ValueError(f"a factor must be {wanted} for {name}, not {factor}: 0 disturbs nothing.")
