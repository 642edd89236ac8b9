"""The mass perturbation: heavier and lighter robots."""

import mujoco
from mujoco import MjModel

from perturbations.base import Names, Perturbation, indices, scale


def mass(factor: float, bodies: Names = None) -> Perturbation:
    """Multiply mass and rotational inertia of all bodies, or of the named ones, by `factor`.

    The result equals, to rounding, a model compiled with scaled densities. Inertia scales with mass: mass alone would
    describe a body whose matter moved to its centre.

    Raises:
        ValueError: a factor not finite and > 0 (at once); an unknown body or the world (when applied).
    """

    def edit(model: MjModel) -> None:
        ids = indices(model, mujoco.mjtObj.mjOBJ_BODY, bodies)
        model.body_mass[ids] *= factor
        model.body_inertia[ids] *= factor

    return scale(factor, edit)
