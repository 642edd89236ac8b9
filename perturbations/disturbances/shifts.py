"""Shifted actions: the constant change of what is executed, within a budget."""

import math

import mujoco
import numpy as np
from mujoco import MjModel

from perturbations.base import Names, nearest
from perturbations.disturbances.contract import Action, Disturbance, Setting, Signals


def action_bias(factor: float, actuators: Names = None) -> Disturbance:
    """Every executed action is shifted by `factor` × half the actuator's range, and the sum is cut to the range.

    The shift is the same at every step. It is that of all actuators or of the named ones: by name, by the name of the
    joint that one moves alone, or by number, counted from 0 in the order of the action.

    Raises:
        ValueError: a factor that is not finite (at once); an unknown actuator or one without a range (when an episode
            begins).
    """
    if not math.isfinite(factor):
        raise ValueError(f"a factor must be finite for action-bias, not {factor}: 0 disturbs nothing.")

    def begin(setting: Setting) -> Signals:
        half = (setting.action_high - setting.action_low) / 2
        marked = np.isin(np.arange(len(half)), _numbers(setting.model, actuators, len(half)))
        if not np.isfinite(half[marked]).all():
            raise ValueError("action-bias is measured in half the actuator's range, but an actuator has none.")
        shift = np.where(marked, factor * np.where(marked, half, 0).astype(np.float64), 0.0)
        return _Shifted(setting, shift)

    return begin


class _Shifted(Signals):
    def __init__(self, setting: Setting, shift: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
        self._setting, self._shift = setting, shift

    def executed(self, action: Action) -> Action:
        shifted = np.clip(action + self._shift, self._setting.action_low, self._setting.action_high)
        return np.asarray(shifted, dtype=np.float32)


def _numbers(model: MjModel, names: Names, size: int) -> list[int]:
    """The places in the action (A,) of named actuators; None means all."""
    if names is None:
        return list(range(size))
    known = _known(model, size)
    wanted = (names,) if isinstance(names, str) else names
    for name in wanted:
        if name not in known:
            raise ValueError(f"the model has no actuator '{name}': {nearest(name, known)}.")
    return [known[name] for name in wanted]


def _known(model: MjModel, size: int) -> dict[str, int]:
    """What actuators may be called: their names, else those of the joints that they move alone, and their numbers."""
    numbers = {str(number): number for number in range(size)}
    on_joints = model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT
    joints = np.where(on_joints, model.actuator_trnid[:, 0], -1).tolist()
    alone = {
        mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, joint): number
        for number, joint in enumerate(joints[:size])
        if joint >= 0 and joints.count(joint) == 1
    }
    places = range(min(size, model.nu))
    own = {mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_ACTUATOR, number): number for number in places}
    return {name: number for name, number in (alone | own | numbers).items() if name}
