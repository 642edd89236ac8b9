"""The strength perturbation: stronger and weaker motors."""

import mujoco
from mujoco import MjModel

from perturbations.base import Names, Perturbation, indices, scale


def strength(factor: float, actuators: Names = None) -> Perturbation:
    """Multiply the gear (a motor's torque per unit of control) of all actuators, or of the named ones, by `factor`.

    For a position or velocity servo the gear scales its measurement as well.

    Raises:
        ValueError: a factor not finite and > 0 (at once); an unknown actuator (when applied).
    """

    def edit(model: MjModel) -> None:
        model.actuator_gear[indices(model, mujoco.mjtObj.mjOBJ_ACTUATOR, actuators)] *= factor

    return scale(factor, edit)
