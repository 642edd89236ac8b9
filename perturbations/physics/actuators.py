"""Stronger and weaker motors."""

import mujoco
from mujoco import MjModel

from perturbations.base import Names, Perturbation, indices, scale


def strength(factor: float, actuators: Names = None) -> Perturbation:
    """Gear (torque per unit of control, for motors) times `factor`, of all actuators or the named ones.

    For a position or velocity servo the gear scales what it measures as well.

    Raises:
        ValueError: a factor not finite and > 0 (at once); an unknown actuator (when applied).
    """

    def edit(model: MjModel) -> None:
        model.actuator_gear[indices(model, mujoco.mjtObj.mjOBJ_ACTUATOR, actuators)] *= factor

    return scale(factor, edit)
