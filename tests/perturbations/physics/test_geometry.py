"""Limb size: equal to a model compiled from resized source, in every field and every step."""

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import pytest
from mujoco import MjModel

from perturbations import is_no_op, limb_size, limb_size_density
from perturbations.physics import geometry

Floats = npt.NDArray[np.float64]
Source = Callable[[str], mujoco.MjSpec]

CASES = [
    ("hopper", None),
    ("half_cheetah", None),
    ("walker2d", ("leg_geom", "foot_left_geom")),
    ("ant", None),
    ("half_cheetah", ("head",)),  # two geoms in one body: the centre of mass moves
    ("humanoid", ("head", "left_hand")),
    ("swimmer", None),
]

ODD = """
<mujoco>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 1"/>
    <body name="lopsided"><freejoint/>
      <geom name="light" type="sphere" size=".1" density="100"/><geom name="heavy" type="sphere" size=".1" pos="1 0 0"/>
    </body>
    <body name="given"><freejoint/><inertial pos="0 0 0" mass="3" diaginertia="1 1 1"/>
      <geom name="given" type="sphere" size=".1"/>
    </body>
    <body name="dumbbell"><freejoint/>
      <geom name="one" type="sphere" size=".1" pos="0 0 -1"/><geom name="other" type="sphere" size=".1" pos="0 0 1"/>
    </body>
    <body name="mesh"><freejoint/><geom name="mesh" type="mesh" mesh="mesh"/></body>
    <body name="fish"><freejoint/><geom name="fish" type="ellipsoid" size=".1 .2 .3" fluidshape="ellipsoid"/></body>
  </worldbody>
  <asset><mesh name="mesh" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset>
</mujoco>
"""


def resized(
    source: mujoco.MjSpec, factor: float, names: tuple[str, ...] | None, keep: MjModel | None = None
) -> MjModel:
    """Compiled from source: geoms resized, ends of capsules moved about their middle, kept masses written out."""
    for geom in source.geoms:
        if geom.parent.name == "world" or (names and geom.name not in names):
            continue
        geom.size = factor * geom.size
        if not np.isnan(geom.fromto[0]):
            first, last = geom.fromto[:3], geom.fromto[3:]
            middle = (first + last) / 2
            geom.fromto = np.concatenate([middle + factor * (first - middle), middle + factor * (last - middle)])
    if keep is not None:
        source.compiler.inertiafromgeom = False
        for number, body in enumerate(source.bodies):
            body.explicitinertial = True
            body.mass, body.inertia = keep.body_mass[number], keep.body_inertia[number]
            body.ipos, body.iquat = keep.body_ipos[number], keep.body_iquat[number]
    return source.compile()


def unequal_fields(model: MjModel, oracle: MjModel) -> dict[str, Any]:
    """Every array of the two compiled models that differs by more than 1e-12 of its greatest value."""
    unequal = {}
    for name in dir(oracle):
        one, other = getattr(model, name, None), getattr(oracle, name)
        if name.startswith("_") or not isinstance(other, np.ndarray):
            continue
        size = np.abs(other[np.isfinite(other)]).max(initial=1.0)
        if not np.allclose(one, other, rtol=0, atol=1e-12 * size, equal_nan=True):  # type: ignore[arg-type]  # an array
            unequal[name] = (one, other)
    return unequal


@pytest.mark.parametrize("factor", [0.75, 1.3])
@pytest.mark.parametrize(("robot", "names"), CASES)
def test_with_density_kept_it_equals_recompiling_the_resized_source(
    robot: str, names: tuple[str, ...] | None, factor: float, source: Source, step_gap: Callable[..., Floats]
) -> None:
    """Every field to 1e-12, and one step from each of 200 states."""
    nominal = source(robot).compile()
    changed, oracle = limb_size_density(factor, names)(nominal), resized(source(robot), factor, names)
    assert unequal_fields(changed, oracle) == {}
    assert "geom_size" in unequal_fields(changed, nominal)
    assert step_gap(changed, oracle, 200).max() < 1e-11


@pytest.mark.parametrize("factor", [0.75, 1.3])
@pytest.mark.parametrize(("robot", "names"), CASES)
def test_with_mass_kept_it_equals_recompiling_with_the_masses_written_out(
    robot: str, names: tuple[str, ...] | None, factor: float, source: Source, step_gap: Callable[..., Floats]
) -> None:
    nominal = source(robot).compile()
    changed, oracle = limb_size(factor, names)(nominal), resized(source(robot), factor, names, keep=nominal)
    assert unequal_fields(changed, oracle) == {}
    assert np.array_equal(changed.body_mass, nominal.body_mass)
    assert step_gap(changed, oracle, 200).max() < 1e-11


@pytest.mark.parametrize(("robot", "names"), [*CASES, ("fish", None)])
def test_bounds_are_right_without_the_help_of_mj_setconst(
    robot: str, names: tuple[str, ...] | None, source: Source
) -> None:
    """Older versions of MuJoCo leave them as they were."""
    specs = [mujoco.MjSpec.from_string(FISH) if robot == "fish" else source(robot) for _ in range(2)]
    model = specs[0].compile()
    oracle = resized(specs[1], 1.3, names, keep=model)
    ids = geometry._resizable(model, names)
    model.geom_size[ids] *= 1.3
    fields = ("geom_rbound", "geom_aabb", "geom_fluid", "bvh_aabb", "bvh_child", "bvh_nodeid", "bvh_depth")
    assert set(fields) & unequal_fields(model, oracle).keys()
    bodies = np.unique(model.geom_bodyid[ids])
    geometry._adopt(model, bodies, geometry._compiled(model, bodies))
    assert set(fields) & unequal_fields(model, oracle).keys() == set()


FISH = """
<mujoco>
  <worldbody>
    <body><freejoint/><geom type="sphere" size=".3" margin=".2"/></body>
    <body><freejoint/>
      <geom type="ellipsoid" size=".1 .2 .3" fluidshape="ellipsoid" fluidcoef=".4 .2 1 .9 .8"/>
      <geom type="box" size=".1 .2 .3" pos="1 0 0" margin=".1" gap=".05"/>
      <geom type="cylinder" size=".1 .2" pos="0 1 0"/>
      <geom type="sphere" size=".5" pos="0 0 3" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
</mujoco>
"""


def test_axes_that_rounding_chooses_describe_the_same_inertia(source: Source, step_gap: Callable[..., Floats]) -> None:
    """Humanoid's hand has two equal moments of inertia: its axes are arbitrary, its inertia is not."""
    changed, oracle = limb_size_density(1.3)(source("humanoid").compile()), resized(source("humanoid"), 1.3, None)
    assert unequal_fields(changed, oracle).keys() <= {"body_iquat", "bvh_aabb", "bvh_nodeid", "bvh_child"}
    for one, other in zip(inertias(changed), inertias(oracle), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-14)
    assert step_gap(changed, oracle, 200).max() < 1e-11


def inertias(model: MjModel) -> list[Floats]:
    """Inertia (3, 3) of every body along the axes of its frame."""
    tensors = []
    for quat, moments in zip(model.body_iquat, model.body_inertia, strict=True):
        axes = np.zeros(9)
        mujoco.mju_quat2Mat(axes, quat)
        tensors.append(axes.reshape(3, 3) @ np.diag(moments) @ axes.reshape(3, 3).T)
    return tensors


def test_mass_goes_with_the_volume(hopper: MjModel) -> None:
    np.testing.assert_allclose(limb_size_density(2.0)(hopper).body_mass, 8 * hopper.body_mass, rtol=1e-14)
    np.testing.assert_allclose(limb_size_density(2.0)(hopper).body_inertia, 32 * hopper.body_inertia, rtol=1e-13)


def test_bounds_grow_so_that_no_contact_is_missed(hopper: MjModel) -> None:
    """A foot that now reaches the floor must collide: with stale bounds it would pass through."""
    big = limb_size(3.0)(hopper)
    stale = limb_size(3.0)(hopper)
    stale.geom_rbound[:] = hopper.geom_rbound
    np.testing.assert_allclose(big.geom_rbound[1:], 3 * hopper.geom_rbound[1:], rtol=1e-14)
    touching = []
    for model in (hopper, big, stale):
        data = mujoco.MjData(model)
        data.qpos[1] = 1.6
        mujoco.mj_forward(model, data)
        touching.append(data.ncon)
    assert touching[0] == 0
    assert touching[1] > touching[2]


def test_robots_with_another_total_mass_keep_their_density(compiled: Callable[..., MjModel]) -> None:
    """`settotalmass` and the like scale all densities; nothing else is assumed about them."""
    light, nominal = compiled("half_cheetah", 0.37), compiled("half_cheetah")
    np.testing.assert_allclose(
        limb_size_density(1.2)(light).body_mass, 0.37 * limb_size_density(1.2)(nominal).body_mass, rtol=1e-13
    )


@pytest.mark.parametrize(
    ("geoms", "complaint"),
    [
        ("floor", "geom floor is fixed to the world: name geoms of the robot"),
        ("mesh", "geom mesh is a mesh, without a size to scale"),
        ("flor", "no geom 'flor': did you mean 'floor'"),
    ],
)
def test_what_cannot_be_resized_is_named(geoms: str, complaint: str) -> None:
    model = mujoco.MjModel.from_xml_string(ODD)
    for make in (limb_size, limb_size_density):
        with pytest.raises(ValueError, match=complaint):
            make(2.0, geoms)(model)
    with pytest.raises(ValueError, match="geom mesh is a mesh"):
        limb_size(2.0)(model)


@pytest.mark.parametrize(("geom", "body"), [("heavy", "lopsided"), ("given", "given")])
def test_a_body_of_more_than_one_density_is_refused(geom: str, body: str) -> None:
    model = mujoco.MjModel.from_xml_string(ODD)
    with pytest.raises(ValueError, match=f"the mass of body {body} is not that .* use limb-size, which keeps the mass"):
        limb_size_density(2.0, geom)(model)
    assert not is_no_op(model, limb_size(2.0, geom)(model))


def test_a_free_body_that_would_lose_its_symmetry_is_refused() -> None:
    model = mujoco.MjModel.from_xml_string(ODD)
    with pytest.raises(ValueError, match="would lose the symmetry"):
        limb_size_density(2.0, "one")(model)
    assert limb_size_density(2.0, ("one", "other"))(model).body_mass[3] == pytest.approx(8 * model.body_mass[3])


@pytest.mark.parametrize("make", [limb_size, limb_size_density])
def test_fluid_forces_follow_the_shape(make: Callable[..., Any]) -> None:
    model = mujoco.MjModel.from_xml_string(ODD)
    oracle = mujoco.MjModel.from_xml_string(ODD.replace('size=".1 .2 .3"', 'size=".2 .4 .6"'))
    np.testing.assert_allclose(make(2.0, "fish")(model).geom_fluid, oracle.geom_fluid, rtol=1e-14)
    assert not np.array_equal(oracle.geom_fluid, model.geom_fluid)
