"""Being pushed."""

import mujoco
import numpy as np
from mujoco import MjModel

from perturbations.disturbances.contract import Disturbance, Setting, Signals, Wrench, check_amount

GRAVITY = 9.81
"""m/s², standard gravity rounded as MuJoCo's default is; also where the model's gravity is perturbed."""
DURATION = 0.1
"""s: the length of a shove by hand, and shorter than a gait cycle, so that it acts as an impulse."""
WINDOW = 2.0
"""s between pushes on average: long enough to recover, short enough for several in an episode of some seconds."""


def push(factor: float) -> Disturbance:
    """A force of `factor` × the robot's weight on its root body for 0.1 s, at a random time in every window of 2 s.

    Weight: the mass of all bodies that are not fixed to the world, as simulated (perturbed), times 9.81 m/s². Root: the
    first body with mass and a joint; the force acts at its centre of mass. Direction: random in the horizontal plane
    for a robot with a free joint at its root, forwards or backwards along x for all others, which live in a plane.
    Times are rounded to control steps, a push lasts one at least and ends in the window in which it began.

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
