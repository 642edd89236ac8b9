"""What earlier suites did, and what is wrong with it."""

import copy
import itertools

import mujoco
import numpy as np
import pytest
from mujoco import MjModel

from perturbations import PERTURBATIONS, compose, is_no_op, mass, parse, physics_difference
from perturbations.compat import rrls_friction, rrls_mass

FALLEN = [("floor", "torso_geom"), ("floor", "thigh_geom"), ("floor", "leg_geom")]


def test_rrls_mass_leaves_the_inertia_and_the_derived_constants(model: MjModel) -> None:
    heavy = PERTURBATIONS["compat:rrls-mass"](2.0)(model)
    assert np.array_equal(heavy.body_mass, 2 * model.body_mass)
    assert physics_difference(model, heavy).keys() == {"body_mass"}
    assert {"body_inertia", "body_invweight0"} < physics_difference(heavy, mass(2.0)(model)).keys()


def test_rrls_mass_takes_names(hopper: MjModel) -> None:
    heavy = PERTURBATIONS["compat:rrls-mass"](2.0, "foot")(hopper)
    assert np.flatnonzero(heavy.body_mass != hopper.body_mass).tolist() == [4]


@pytest.mark.parametrize(("factor", "no_op"), [(0.1, True), (1.84, True), (2.0, True), (2.1, False)])
def test_rrls_friction_does_nothing_below_the_foot(factor: float, no_op: bool, hopper: MjModel) -> None:
    changed = PERTURBATIONS["compat:rrls-friction"](factor)(hopper)
    assert changed.geom_friction[:, 0].tolist() == [factor, 0.9, 0.9, 0.9, 2.0]
    assert is_no_op(hopper, changed, FALLEN) is no_op


def test_odrl_friction_is_the_same_for_every_foot_smoother_than_the_floor(hopper: MjModel) -> None:
    half, tenth, whole = (PERTURBATIONS["compat:odrl-friction"](factor)(hopper) for factor in (0.5, 0.1, 1.0))
    assert half.geom_friction[:, 0].tolist() == [1.0, 0.45, 0.45, 0.45, 1.0]
    assert is_no_op(half, tenth)
    assert not is_no_op(half, whole)


def test_micro_gravity_edits_half_cheetah_alone(robot: str, model: MjModel) -> None:
    changed = PERTURBATIONS["compat:micro-gravity"](2.0)(model)
    assert changed.opt.gravity[2] == (-19.62 if robot == "half_cheetah" else -9.81)
    assert is_no_op(model, changed) is (robot != "half_cheetah")


def test_compat_is_refused_where_it_means_nothing() -> None:
    bare = mujoco.MjModel.from_xml_string("<mujoco model='bare'><worldbody/></mujoco>")
    with pytest.raises(ValueError, match=r"MICRO perturbs Hopper, Walker2d and HalfCheetah only, not 'bare'"):
        PERTURBATIONS["compat:micro-gravity"](2.0)(bare)
    with pytest.raises(ValueError, match="the model has no floor"):
        PERTURBATIONS["compat:rrls-friction"](2.0)(bare)


def rrls(model: MjModel) -> MjModel:
    """What RRLS does to a Hopper, written out: two fields are set, and nothing is derived."""
    changed = copy.deepcopy(model)
    changed.body_mass[3] *= 2.0
    changed.geom_friction[0, 0] *= 2.0
    return changed


@pytest.mark.parametrize("order", list(itertools.permutations(["compat:rrls-mass@leg=2", "compat:rrls-friction=2"])))
def test_mass_and_friction_of_rrls_are_its_own_in_both_orders(order: tuple[str, str], hopper: MjModel) -> None:
    assert physics_difference(rrls(hopper), parse(",".join(order))(hopper)) == {}


def test_the_functions_compose_like_their_names(hopper: MjModel) -> None:
    parts = (rrls_mass(2.0, "leg"), rrls_friction(2.0), mass(1.2, "torso"))
    assert differ(*(compose(*order)(hopper) for order in itertools.permutations(parts))) == set()
    nested = compose(compose(parts[0], parts[1]), parts[2])(hopper)
    assert differ(nested, compose(parts[2], *parts[:2])(hopper)) == set()


def test_stale_constants_are_those_of_the_model_without_the_stale_change(hopper: MjModel) -> None:
    both = parse("compat:rrls-mass@leg=2,mass@torso=1.2")(hopper)
    assert physics_difference(mass(1.2, "torso")(hopper), both).keys() == {"body_mass"}


COMPAT = [name for name in PERTURBATIONS if name.startswith("compat:")]
PHYSICS = [name for name, record in PERTURBATIONS.items() if not record.disturbs]


@pytest.mark.parametrize(("stale", "other"), [(a, b) for a in COMPAT for b in PHYSICS if a != b])
def test_every_pair_with_an_earlier_suites_is_the_same_in_both_orders(stale: str, other: str, hopper: MjModel) -> None:
    changed = [parse(text)(hopper) for text in (f"{stale}=1.3,{other}=1.7", f"{other}=1.7,{stale}=1.3")]
    different = {name: gap for name, gap in physics_difference(*changed).items() if gap > 1e-12}  # a·b·c is not c·b·a
    assert different == {}


def differ(first: MjModel, *others: MjModel) -> set[str]:
    """The physical fields in which the models differ to the last bit."""
    return {name for other in others for name in physics_difference(first, other)}
