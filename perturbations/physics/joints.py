"""Perturbations of joints: damping, armature, springs and dry friction."""

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import MjModel

from perturbations.base import Names, Perturbation, indices, scale


def damping(factor: float, joints: Names = None) -> Perturbation:
    """Multiply the viscous damping (N·s/m or N·m·s/rad) of all joints, or of the named ones, by `factor`.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); an unknown joint (when applied).
    """

    def edit(model: MjModel) -> None:
        dofs = _dofs(model, joints)
        model.dof_damping[dofs] *= factor
        model.dof_dampingpoly[dofs] *= factor

    return scale(factor, edit, zero=True)


def armature(factor: float, joints: Names = None) -> Perturbation:
    """Multiply the rotor inertia at the joint (kg or kg·m²) of all joints, or of the named ones, by `factor`.

    Raises:
        ValueError: a factor not finite and > 0 (at once); an unknown joint (when applied).
    """

    def edit(model: MjModel) -> None:
        model.dof_armature[_dofs(model, joints)] *= factor

    return scale(factor, edit)


def stiffness(factor: float, joints: Names = None) -> Perturbation:
    """Multiply the spring stiffness (N/m or N·m/rad) of all joints, or of the named ones, by `factor`.

    A joint without a spring stays without: on Hopper, Walker2d and Ant nothing changes.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); an unknown joint (when applied).
    """

    def edit(model: MjModel) -> None:
        ids = indices(model, mujoco.mjtObj.mjOBJ_JOINT, joints)
        model.jnt_stiffness[ids] *= factor
        model.jnt_stiffnesspoly[ids] *= factor

    return scale(factor, edit, zero=True)


def frictionloss(factor: float, joints: Names = None) -> Perturbation:
    """Multiply the dry friction (N or N·m) of all joints, or of the named ones, by `factor`.

    A joint without dry friction stays without: on Gymnasium's robots nothing changes.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); an unknown joint (when applied).
    """

    def edit(model: MjModel) -> None:
        model.dof_frictionloss[_dofs(model, joints)] *= factor

    return scale(factor, edit, zero=True)


def _dofs(model: MjModel, joints: Names) -> npt.NDArray[np.bool_]:
    """Whether each degree of freedom (nv,) belongs to the joints."""
    dofs: npt.NDArray[np.bool_] = np.isin(model.dof_jntid, indices(model, mujoco.mjtObj.mjOBJ_JOINT, joints))
    return dofs
