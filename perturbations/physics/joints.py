"""Stiffer and lazier joints."""

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import MjModel

from perturbations.base import Names, Perturbation, indices, scale


def damping(factor: float, joints: Names = None) -> Perturbation:
    """Viscous damping (N·s/m or N·m·s/rad) times `factor`, of all joints or the named ones.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); an unknown joint (when applied).
    """

    def edit(model: MjModel) -> None:
        dofs = _dofs(model, joints)
        model.dof_damping[dofs] *= factor
        model.dof_dampingpoly[dofs] *= factor

    return scale(factor, edit, zero=True)


def armature(factor: float, joints: Names = None) -> Perturbation:
    """Rotor inertia seen at the joint (kg or kg·m²) times `factor`, of all joints or the named ones.

    Raises:
        ValueError: a factor not finite and > 0 (at once); an unknown joint (when applied).
    """

    def edit(model: MjModel) -> None:
        model.dof_armature[_dofs(model, joints)] *= factor

    return scale(factor, edit)


def stiffness(factor: float, joints: Names = None) -> Perturbation:
    """Stiffness of the springs in joints (N/m or N·m/rad) times `factor`, of all joints or the named ones.

    Joints without a spring keep having none: on Hopper, Walker2d and Ant nothing changes.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); an unknown joint (when applied).
    """

    def edit(model: MjModel) -> None:
        ids = indices(model, mujoco.mjtObj.mjOBJ_JOINT, joints)
        model.jnt_stiffness[ids] *= factor
        model.jnt_stiffnesspoly[ids] *= factor

    return scale(factor, edit, zero=True)


def frictionloss(factor: float, joints: Names = None) -> Perturbation:
    """Dry friction in joints (N or N·m) times `factor`, of all joints or the named ones.

    Joints without dry friction keep having none: on Gymnasium's robots nothing changes.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); an unknown joint (when applied).
    """

    def edit(model: MjModel) -> None:
        model.dof_frictionloss[_dofs(model, joints)] *= factor

    return scale(factor, edit, zero=True)


def _dofs(model: MjModel, joints: Names) -> npt.NDArray[np.bool_]:
    """Which degrees of freedom (nv,) belong to the joints."""
    dofs: npt.NDArray[np.bool_] = np.isin(model.dof_jntid, indices(model, mujoco.mjtObj.mjOBJ_JOINT, joints))
    return dofs
