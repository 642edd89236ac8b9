"""No-op cells: compiled physics compared by hand-made cases, and against MuJoCo's own contacts."""

import copy
import itertools
from collections.abc import Callable

import mujoco
import numpy as np
import numpy.typing as npt
import pytest
from mujoco import MjModel

from perturbations import PERTURBATIONS, contact_friction, friction, is_no_op, mass, physics_difference

Floats = npt.NDArray[np.float64]

PILE = """
<mujoco>
  <option gravity="0 0 0"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1" friction=".5 .02 .003"/>
    <geom name="wall" type="box" size=".1 .1 .1" friction="9 9 9"/>
    <body name="a">
      <freejoint/>
      <geom name="a" type="sphere" size=".3" condim="1" friction=".7 .01 .001"/>
      <body name="child" pos="0 0 .1"><joint axis="0 1 0"/>
        <geom name="child" type="sphere" size=".3" condim="6" friction=".2 .2 .2"/>
      </body>
    </body>
    <body name="b"><freejoint/>
      <geom name="b" type="sphere" size=".3" condim="4" friction=".1 .1 .1" priority="1"/>
    </body>
    <body name="c"><freejoint/><geom name="c" type="sphere" size=".3" condim="3" friction="0 0 0"/></body>
    <body name="d"><freejoint/>
      <geom name="d" type="sphere" size=".3" contype="2" conaffinity="0"/>
      <geom name="d2" type="sphere" size=".3" contype="0" conaffinity="2" condim="6" friction="3 4 5"/>
    </body>
  </worldbody>
  <contact>
    <exclude body1="a" body2="c"/>
    <pair geom1="floor" geom2="c" condim="4" friction=".11 .12 .13 .14 .15"/>
  </contact>
</mujoco>
"""

ON_A_TABLE = """
<mujoco>
  <worldbody>
    <geom name="post" type="sphere" size=".1" pos="1 1 0"/>
    <site name="left" pos="0 -1 0"/><site name="right" pos="0 1 0"/>
    <body name="cart"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>
      <geom type="box" size=".1 .1 .1" contype="0" conaffinity="0"/>
      <body name="arm" pos=".5 0 0"><joint axis="0 0 1"/><geom name="arm" type="sphere" size=".1"/></body>
    </body>
  </worldbody>
</mujoco>
"""
TENDON = '<tendon><spatial><site site="left"/><geom geom="arm"/><site site="right"/></spatial></tendon>'


def test_contact_friction_is_what_mujoco_computes() -> None:
    model = mujoco.MjModel.from_xml_string(PILE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    expected = np.zeros((model.ngeom, model.ngeom, 5))
    for contact in data.contact:  # everything overlaps everything, so every pair that may collide does
        i, j = sorted(contact.geom)
        expected[i, j, : contact.dim - 1] = contact.friction[: contact.dim - 1]
    assert np.count_nonzero(expected[..., 0]) >= 6
    assert np.array_equal(contact_friction(model), expected)


@pytest.mark.parametrize("flag", ["mjDSBL_CONTACT", "mjDSBL_FILTERPARENT"])
def test_contact_friction_heeds_the_contact_switches(flag: str) -> None:
    model = mujoco.MjModel.from_xml_string(PILE)
    before = np.count_nonzero(contact_friction(model)[..., 0])
    model.opt.disableflags |= int(getattr(mujoco.mjtDisableBit, flag))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    pairs = {tuple(sorted(contact.geom)) for contact in data.contact if contact.dim > 1}
    assert np.count_nonzero(contact_friction(model)[..., 0]) == len(pairs) != before


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("mass", "body_mass"),
        ("friction", "contact_friction"),
        ("gravity", "opt.gravity"),
        ("damping", "dof_damping"),
        ("armature", "dof_armature"),
        ("strength", "actuator_gear"),
        ("limb-size", "geom_size"),
        ("limb-size-density", "body_mass"),
        ("wind", "opt.wind"),
        ("compat:rrls-mass", "body_mass"),
    ],
)
def test_the_difference_names_what_was_changed(name: str, field: str, model: MjModel) -> None:
    assert field in physics_difference(model, PERTURBATIONS[name](0.5)(model))


def test_the_difference_is_the_greatest_change(hopper: MjModel) -> None:
    difference = physics_difference(hopper, PERTURBATIONS["gravity"](0.5)(hopper))
    assert difference == {"opt.gravity": 9.81 / 2}
    assert physics_difference(hopper, friction(0.5)(hopper)) == {"contact_friction": 1.0}  # foot 2.0 → 1.0


FLOOR_ONLY = [("floor", "torso_geom"), ("floor", "thigh_geom"), ("floor", "leg_geom")]


def test_a_smoother_floor_alone_is_a_no_op_where_feet_are_rougher(
    hopper: MjModel, compiled: Callable[..., MjModel]
) -> None:
    smooth = friction(0.5, geoms="floor")
    assert physics_difference(hopper, smooth(hopper)).keys() == {"contact_friction"}  # a fallen torso would slide
    assert is_no_op(hopper, smooth(hopper), unreachable=FLOOR_ONLY)
    for robot in ("half_cheetah", "walker2d"):
        assert is_no_op(compiled(robot), smooth(compiled(robot)))


def test_a_rougher_floor_counts_only_above_the_foot(hopper: MjModel) -> None:
    for factor, no_op in [(1.0, True), (1.84, True), (2.0, True), (2.01, False), (3.0, False)]:
        rough = friction(factor, geoms="floor")(hopper)
        assert is_no_op(hopper, rough, unreachable=FLOOR_ONLY) is no_op


def test_every_cell_of_a_friction_grid_differs_from_every_other(model: MjModel) -> None:
    grid = [friction(factor)(model) for factor in np.linspace(0.1, 2.0, 10)]
    assert not any(is_no_op(one, other) for one, other in itertools.combinations(grid, 2))


def test_friction_columns_the_contacts_do_not_use_are_a_no_op(
    hopper: MjModel, trajectory: Callable[..., Floats]
) -> None:
    rolling = friction(5.0, columns=(1, 2))(hopper)
    assert is_no_op(hopper, rolling)
    assert np.array_equal(trajectory(hopper), trajectory(rolling))


def test_wind_needs_a_medium(hopper: MjModel) -> None:
    windy = copy.deepcopy(hopper)
    windy.opt.wind[0] = 10.0
    assert is_no_op(hopper, windy)
    hopper.opt.density = windy.opt.density = 1.2
    assert physics_difference(hopper, windy) == {"opt.wind": 10.0}


def test_gravity_needs_something_that_falls(hopper: MjModel) -> None:
    table = mujoco.MjModel.from_xml_string(ON_A_TABLE)
    half = PERTURBATIONS["gravity"](0.5)
    assert is_no_op(table, half(table))
    assert not is_no_op(hopper, half(hopper))
    table.opt.gravity[0] = 1.0  # a tilted table
    assert not is_no_op(table, half(table))
    for joint, falling in (
        ('axis="0 0 1"', 'axis="0 1 0"'),
        ('type="slide" axis="1 0 0"', 'type="slide" axis="1 0 1"'),
    ):
        assert joint in ON_A_TABLE
        upright = mujoco.MjModel.from_xml_string(ON_A_TABLE.replace(joint, falling))
        assert not is_no_op(upright, half(upright))


def test_sizes_count_where_something_can_touch() -> None:
    table = mujoco.MjModel.from_xml_string(ON_A_TABLE)
    grown = PERTURBATIONS["limb-size"](1.5)(table)
    assert physics_difference(table, grown).keys() == {"geom_size", "geom_rbound", "geom_aabb"}
    assert is_no_op(table, grown, unreachable=[("arm", "post")])
    for model in (table, grown):
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    assert is_no_op(table, grown)


def test_sizes_count_where_a_tendon_wraps() -> None:
    text = ON_A_TABLE.replace('<geom name="arm"', '<geom contype="0" conaffinity="0" name="arm"')
    for extra, no_op in (("", True), (TENDON, False)):
        model = mujoco.MjModel.from_xml_string(text.replace("</mujoco>", f"{extra}</mujoco>"))
        assert is_no_op(model, PERTURBATIONS["limb-size"](1.5)(model)) is no_op


def test_sensors_may_feel_gravity_and_see_shapes() -> None:
    sensor = '<sensor><accelerometer site="left"/></sensor>'
    model = mujoco.MjModel.from_xml_string(ON_A_TABLE.replace("</mujoco>", f"{sensor}</mujoco>"))
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    assert not is_no_op(model, PERTURBATIONS["gravity"](0.5)(model))
    assert not is_no_op(model, PERTURBATIONS["limb-size"](0.5)(model))


def test_every_geom_counts_for_what_is_flexible() -> None:
    model = mujoco.MjModel.from_xml_string(CLOTH)
    assert physics_difference(model, friction(0.5, geoms="floor")(model)).keys() == {"geom_friction"}
    assert "geom_size" in physics_difference(model, PERTURBATIONS["limb-size"](2.0)(model))


CLOTH = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 1"/>
    <body><freejoint/><geom type="sphere" size=".1"/></body>
    <flexcomp name="cloth" type="grid" count="3 3 1" spacing=".1 .1 .1" pos="0 0 1">
      <edge equality="true"/>
    </flexcomp>
  </worldbody>
  <default><geom contype="0"/></default>
</mujoco>
"""


def test_bounds_of_collisions_count(hopper: MjModel) -> None:
    wrong = copy.deepcopy(hopper)
    wrong.geom_rbound[4] = 0.01  # contacts of the foot would be missed
    assert physics_difference(hopper, wrong).keys() == {"geom_rbound"}


def test_the_length_of_a_joint_counts_where_robots_sleep(hopper: MjModel) -> None:
    other = copy.deepcopy(hopper)
    other.dof_length[:] = 2.0
    assert is_no_op(hopper, other)
    other.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_SLEEP
    assert physics_difference(hopper, other).keys() == {"dof_length", "opt.enableflags"}


def test_looks_and_the_mass_of_the_world_are_not_physics(hopper: MjModel) -> None:
    other = copy.deepcopy(hopper)
    other.geom_rgba[:] = 0.5
    other.body_mass[0] = 3.0
    other.light_pos[:] = 9.0
    assert is_no_op(hopper, other)


def test_another_model_differs_in_size(hopper: MjModel, compiled: Callable[..., MjModel]) -> None:
    assert physics_difference(hopper, compiled("walker2d"))["body_mass"] == float("inf")


def test_a_value_that_is_not_a_number_is_a_difference(hopper: MjModel) -> None:
    broken = mass(2.0)(hopper)
    broken.body_mass[1] = np.nan
    assert physics_difference(hopper, broken)["body_mass"] == float("inf")
