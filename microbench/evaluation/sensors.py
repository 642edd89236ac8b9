"""Names of the sensors of an observation: `thigh_joint`, `thigh_joint.velocity`, or the number `7`."""

from collections.abc import Sequence
from functools import cache

import mujoco
import numpy as np
from mujoco import MjModel
from numpy.typing import NDArray

from microbench.errors import UserError, unknown_name
from microbench.simulators.models import nominal_model
from microbench.tasks import Task
from microbench.tasks.physics import State

EACH = "each"
VELOCITY = ".velocity"
GROUPS = ("positions", "velocities")
_COORDINATES = {
    mujoco.mjtJoint.mjJNT_FREE: (("x", "y", "z", "qw", "qx", "qy", "qz"), ("x", "y", "z", "wx", "wy", "wz")),
    mujoco.mjtJoint.mjJNT_BALL: (("qw", "qx", "qy", "qz"), ("wx", "wy", "wz")),
}


@cache
def sensor_names(task: Task) -> tuple[str, ...]:
    """One name per sensor (S,): that of a joint's coordinate or velocity if the sensor equals it, else its number."""
    numbers = tuple(map(str, range(task.obs_size)))
    if task.physics is None:
        return numbers
    model = nominal_model(task)
    coordinates, velocities = _joint_names(model)
    probe = 1e-3 * np.arange(1, model.nq + model.nv + 1)  # all different, and too small to be clipped
    shown = task.physics.observe(_state(model, task, probe))[0]
    names = dict(zip(probe.tolist(), (*coordinates, *velocities), strict=True))
    return tuple(names.get(value, number) for value, number in zip(shown.tolist(), numbers, strict=True))


def chosen(task: Task, sensors: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each sensor (S,) is among these names, numbers or groups (`positions`, `velocities`).

    Raises:
        UserError: the task has no such sensor.
    """
    names = sensor_names(task)
    velocities = np.array([name.endswith(VELOCITY) for name in names])
    positions = ~velocities & np.array([not name.isdecimal() for name in names])
    marked = np.zeros(len(names), np.bool_)
    for sensor in sensors:
        if sensor in GROUPS:
            marked |= positions if sensor == GROUPS[0] else velocities
        elif sensor.isdecimal() and int(sensor) < len(names):
            marked[int(sensor)] = True
        elif sensor in names:
            marked[names.index(sensor)] = True
        else:
            raise unknown_name("sensor", sensor, [*names, *GROUPS])
    if not marked.any():
        raise UserError(f"{task.env_id} has no sensors of {' or '.join(sensors)}; number its sensors from 0: pgd@0+3.")
    return marked


def _joint_names(model: MjModel) -> tuple[list[str], list[str]]:
    """The names of all entries of qpos, and of all entries of qvel."""
    coordinates: list[str] = []
    velocities: list[str] = []
    for number in range(model.njnt):
        joint = model.joint(number).name or str(number)
        parts = _COORDINATES.get(mujoco.mjtJoint(model.jnt_type[number]), (("",), ("",)))
        for names, entries, end in ((parts[0], coordinates, ""), (parts[1], velocities, VELOCITY)):
            entries += [(f"{joint}.{part}" if part else joint) + end for part in names]
    return coordinates, velocities


def _state(model: MjModel, task: Task, probe: NDArray[np.float64]) -> State:
    """A state of one row with the probe as coordinates and velocities, and 0 elsewhere."""
    assert task.physics is not None
    data = mujoco.MjData(model)
    derived = {name: np.zeros_like(getattr(data, name))[None] for name in task.physics.derived}
    derived |= {name: np.array(getattr(model, name))[None] for name in task.physics.constants}
    return State(qpos=probe[None, : model.nq], qvel=probe[None, model.nq :], derived=derived)
