"""Friction: what is scaled, and what a contact makes of it."""

import mujoco
import numpy as np
import pytest
from mujoco import MjModel

from perturbations import friction

TWO_PLATES = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 1"/>
    <body name="box" pos="0 0 1"><freejoint/><geom name="side" type="box" size=".1 .1 .1"/></body>
  </worldbody>
  <contact><pair geom1="floor" geom2="side" condim="6" friction="1 2 3 4 5"/></contact>
</mujoco>
"""


def test_robot_and_floor_are_scaled_in_the_sliding_column(model: MjModel) -> None:
    slippery = friction(0.5)(model)
    assert np.array_equal(slippery.geom_friction[:, 0], 0.5 * model.geom_friction[:, 0])
    assert np.array_equal(slippery.geom_friction[:, 1:], model.geom_friction[:, 1:])


def test_named_columns_and_geoms_alone_are_changed(hopper: MjModel) -> None:
    foot = mujoco.mj_name2id(hopper, mujoco.mjtObj.mjOBJ_GEOM, "foot_geom")
    changed = friction(2.0, columns=(0, 2), geoms="foot_geom")(hopper)
    expected = hopper.geom_friction.copy()
    expected[foot, [0, 2]] *= 2.0
    assert np.array_equal(changed.geom_friction, expected)


def test_explicit_pairs_follow_unless_geoms_are_named() -> None:
    model = mujoco.MjModel.from_xml_string(TWO_PLATES)
    assert friction(2.0)(model).pair_friction[0].tolist() == [2, 4, 3, 4, 5]
    assert friction(2.0, columns=(1, 2))(model).pair_friction[0].tolist() == [1, 2, 6, 8, 10]
    assert friction(2.0, geoms="floor")(model).pair_friction[0].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("columns", [(), (3,), (0, -1)])
def test_columns_that_do_not_exist_are_refused(columns: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="friction columns are 0"):
        friction(0.5, columns=columns)


def test_a_geom_must_be_known(hopper: MjModel) -> None:
    with pytest.raises(ValueError, match="no geom 'flor': did you mean 'floor'"):
        friction(0.5, geoms="flor")(hopper)
