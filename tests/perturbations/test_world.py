"""Gravity, joints and motors: exactly the named quantity changes."""

import mujoco
import numpy as np
import pytest
from mujoco import MjModel

from perturbations import armature, damping, gravity, strength
from perturbations.base import Perturbation


def test_d1_gravity_changes_all_three_components_on_every_robot(model: MjModel) -> None:
    model.opt.gravity[:] = [1.0, 2.0, -8.0]
    assert gravity(0.5)(model).opt.gravity.tolist() == [0.5, 1.0, -4.0]
    assert gravity(0.0)(model).opt.gravity.tolist() == [0.0, 0.0, 0.0]


def test_damping_and_armature_scale_their_own_field(model: MjModel) -> None:
    assert np.array_equal(damping(1.5)(model).dof_damping, 1.5 * model.dof_damping)
    assert np.array_equal(damping(1.5)(model).dof_armature, model.dof_armature)
    assert np.array_equal(armature(1.5)(model).dof_armature, 1.5 * model.dof_armature)
    assert np.array_equal(armature(1.5)(model).dof_damping, model.dof_damping)
    assert (armature(1.5)(model).dof_M0[3:] > model.dof_M0[3:]).all()  # a derived constant follows


def test_a_named_joint_alone_is_damped(hopper: MjModel) -> None:
    changed = np.flatnonzero(damping(2.0, "leg_joint")(hopper).dof_damping != hopper.dof_damping)
    assert changed.tolist() == [mujoco.mj_name2id(hopper, mujoco.mjtObj.mjOBJ_JOINT, "leg_joint")]


def test_strength_scales_the_torque(hopper: MjModel) -> None:
    forces = []
    for model in (hopper, strength(0.25)(hopper)):
        data = mujoco.MjData(model)
        data.ctrl[:] = [1.0, -0.5, 0.25]
        mujoco.mj_forward(model, data)
        forces.append(data.qfrc_actuator[3:].tolist())
    assert forces == [[200.0, -100.0, 50.0], [50.0, -25.0, 12.5]]


@pytest.mark.parametrize("perturbation", [damping(2.0, "no_such"), armature(2.0, "no_such"), strength(2.0, "no_such")])
def test_d11_names_must_be_known(perturbation: Perturbation, hopper: MjModel) -> None:
    with pytest.raises(ValueError, match="'no_such'"):
        perturbation(hopper)
