"""The push disturbance: a short horizontal force on the robot's root body."""

import mujoco
import numpy as np
from mujoco import MjModel

from perturbations.disturbances.contract import Disturbance, Setting, Signals, Wrench, check_amount

GRAVITY = 9.81
"""Standard gravity in m/s², rounded as MuJoCo's default; the same where the model's gravity is perturbed."""
DURATION = 0.1
"""Length of a push in s: that of a shove by hand, and shorter than a gait cycle, so that it acts as an impulse."""
WINDOW = 2.0
"""Mean time between pushes in s: long enough to recover, short enough for several pushes in an episode."""


def push(factor: float) -> Disturbance:
    """Push the root body with `factor` × the robot's weight for 0.1 s, at a random time in every window of 2 s.

    The weight is the perturbed mass of all bodies that are not fixed to the world, times 9.81 m/s². The root is the
    first body with mass and a joint; the force acts at its centre of mass. Its direction is random in the horizontal
    plane if the root has a free joint. All other robots move in a plane: they are pushed along +x or −x. Times are
    rounded to control steps. A push lasts at least one step and ends in the window in which it begins.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); a model without a body that moves (when an episode begins).
    """
    check_amount("push", factor)
    return lambda setting: _Pushed(setting, factor)


class _Pushed(Signals):
    def __init__(self, setting: Setting, factor: float) -> None:
        model = setting.model
        self._rng, self._nbody, self._root = setting.rng, model.nbody, root(model)
        self._force = factor * GRAVITY * float(model.body_mass[model.body_weldid != 0].sum())  # N
        self._free = model.jnt_type[model.body_jntadr[self._root]] == mujoco.mjtJoint.mjJNT_FREE
        self._lasts = max(1, round(DURATION / setting.dt))  # control steps
        self._window = max(self._lasts, round(WINDOW / setting.dt))
        self._step = 0

    def wrench(self) -> Wrench | None:
        now = self._step % self._window
        if now == 0:
            when, where = self._rng.random(2)
            self._begins = int(when * (self._window - self._lasts + 1))
            self._direction = _direction(where, self._free)
        self._step += 1
        if not self._begins <= now < self._begins + self._lasts:
            return None
        wrench = np.zeros((self._nbody, 6))
        wrench[self._root, :2] = self._force * self._direction
        return wrench


def root(model: MjModel) -> int:
    """The id of the first body with mass and a joint.

    Raises:
        ValueError: there is none.
    """
    moving = np.flatnonzero((model.body_mass > 0) & (model.body_jntnum > 0))
    if not moving.size:
        raise ValueError("the model has no body with mass and a joint: there is nothing to push.")
    return int(moving[0])


def _direction(unit: float, free: bool) -> Wrench:
    """The direction (2,) in x and y of a uniform number in [0, 1)."""
    if not free:
        return np.array([1.0 if unit < 0.5 else -1.0, 0.0])
    return np.array([np.cos(2 * np.pi * unit), np.sin(2 * np.pi * unit)])
