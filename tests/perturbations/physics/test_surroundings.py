"""Gravity, wind, joints and motors: exactly the named quantity changes."""

from collections.abc import Callable

import mujoco
import numpy as np
import pytest
from mujoco import MjModel

from perturbations import (
    armature,
    damping,
    frictionloss,
    gravity,
    is_no_op,
    physics_difference,
    stiffness,
    strength,
    wind,
)
from perturbations.base import Perturbation


def test_gravity_changes_all_three_components_on_every_robot(model: MjModel) -> None:
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
def test_names_must_be_known(perturbation: Perturbation, hopper: MjModel) -> None:
    with pytest.raises(ValueError, match="'no_such'"):
        perturbation(hopper)


def test_springs_and_dry_friction_scale_their_own_field() -> None:
    model = mujoco.MjModel.from_xml_string(SPRUNG)
    soft = stiffness(0.5)(model)
    assert soft.jnt_stiffness.tolist() == [4.0, 1.0]
    assert stiffness(0.5, "second")(model).jnt_stiffness.tolist() == [8.0, 1.0]
    smooth = frictionloss(0.5)(model)
    assert smooth.dof_frictionloss.tolist() == [0.25, 0.125]
    assert frictionloss(0.0, "first")(model).dof_frictionloss.tolist() == [0.0, 0.25]
    assert physics_difference(model, soft).keys() == {"jnt_stiffness"}
    assert physics_difference(model, smooth).keys() == {"dof_frictionloss"}


SPRUNG = """
<mujoco>
  <worldbody>
    <body><geom size=".1"/><joint name="first" stiffness="8" frictionloss=".5"/>
      <body pos="1 0 0"><geom size=".1"/><joint name="second" stiffness="2" frictionloss=".25"/></body>
    </body>
  </worldbody>
</mujoco>
"""


def test_stiffness_is_a_no_op_without_springs(robot: str, model: MjModel) -> None:
    assert is_no_op(model, stiffness(0.5)(model)) is (robot != "half_cheetah")


def test_wind_brings_air_where_there_is_none(hopper: MjModel) -> None:
    windy = wind(5.0)(hopper)
    assert windy.opt.wind.tolist() == [-5, 0, 0]
    assert (windy.opt.density, windy.opt.viscosity) == (1.2, 1.8e-5)
    assert physics_difference(hopper, windy) == {"opt.wind": 5.0, "opt.density": 1.2, "opt.viscosity": 1.8e-5}
    assert wind(-5.0)(hopper).opt.wind[0] == 5


def test_wind_keeps_a_medium_and_adds_to_what_blows(compiled: Callable[..., MjModel]) -> None:
    swimmer = compiled("swimmer")
    swimmer.opt.wind[:] = [1.0, 2.0, 3.0]
    windy = wind(5.0)(swimmer)
    assert windy.opt.wind.tolist() == [-4, 2, 3]
    assert (windy.opt.density, windy.opt.viscosity) == (4000, 0.1)


def test_a_headwind_slows_what_runs_forwards() -> None:
    """A sphere sliding along +x: drag grows with the speed of the air against it."""
    model = mujoco.MjModel.from_xml_string(SLIDING)
    speeds = []
    for factor in (-10.0, 0.0, 10.0):
        data = mujoco.MjData(model)
        data.qvel[0] = 10.0
        mujoco.mj_step(wind(factor)(model), data, nstep=100)
        speeds.append(float(data.qvel[0]))
    assert speeds[1] == 10.0  # without air nothing slows it
    assert speeds[0] == pytest.approx(10.0)  # it moves with the air
    assert speeds[2] < 9.99


SLIDING = """
<mujoco>
  <option gravity="0 0 0"/>
  <worldbody><body><joint type="slide" axis="1 0 0"/><geom size=".1" density="10"/></body></worldbody>
</mujoco>
"""
