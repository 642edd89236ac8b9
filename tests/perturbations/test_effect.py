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


@pytest.mark.parametrize("name", sorted(name for name, record in PERTURBATIONS.items() if not record.disturbs))
def test_factor_one_is_a_no_op_and_others_are_not(name: str, model: MjModel) -> None:
    assert is_no_op(model, PERTURBATIONS[name](1.0)(model))
    assert not is_no_op(model, PERTURBATIONS[name](0.9)(model))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("mass", "body_mass"),
        ("friction", "contact_friction"),
        ("gravity", "opt.gravity"),
        ("damping", "dof_damping"),
        ("armature", "dof_armature"),
        ("strength", "actuator_gear"),
    ],
)
def test_the_difference_names_what_was_changed(name: str, field: str, model: MjModel) -> None:
    assert field in physics_difference(model, PERTURBATIONS[name](0.5)(model))


def test_the_difference_is_the_greatest_change(hopper: MjModel) -> None:
    difference = physics_difference(hopper, PERTURBATIONS["gravity"](0.5)(hopper))
    assert difference == {"opt.gravity": 9.81 / 2}
    assert physics_difference(hopper, friction(0.5)(hopper)) == {"contact_friction": 1.0}  # foot 2.0 → 1.0


FLOOR_ONLY = [("floor", "torso_geom"), ("floor", "thigh_geom"), ("floor", "leg_geom")]


def test_d2_a_smoother_floor_alone_is_a_no_op_where_feet_are_rougher(
    hopper: MjModel, compiled: Callable[..., MjModel]
) -> None:
    smooth = friction(0.5, geoms="floor")
    assert physics_difference(hopper, smooth(hopper)).keys() == {"contact_friction"}  # a fallen torso would slide
    assert is_no_op(hopper, smooth(hopper), unreachable=FLOOR_ONLY)
    for robot in ("half_cheetah", "walker2d"):
        assert is_no_op(compiled(robot), smooth(compiled(robot)))


def test_d2_a_rougher_floor_counts_only_above_the_foot(hopper: MjModel) -> None:
    for factor, no_op in [(1.0, True), (1.84, True), (2.0, True), (2.01, False), (3.0, False)]:
        rough = friction(factor, geoms="floor")(hopper)
        assert is_no_op(hopper, rough, unreachable=FLOOR_ONLY) is no_op


def test_d2_every_cell_of_a_friction_grid_differs_from_every_other(model: MjModel) -> None:
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
