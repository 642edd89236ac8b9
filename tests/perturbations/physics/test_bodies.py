"""Mass: equal to a model compiled from scaled source."""

from collections.abc import Callable

import mujoco
import numpy as np
import numpy.typing as npt
import pytest
from mujoco import MjModel

from perturbations import mass

Floats = npt.NDArray[np.float64]


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_mass_equals_recompiling_the_scaled_source_to_the_bit(
    robot: str, factor: float, compiled: Callable[..., MjModel], trajectory: Callable[..., Floats]
) -> None:
    # Powers of two scale without rounding, so that even a chaotic fall must agree in every bit.
    scaled, oracle = mass(factor)(compiled(robot)), compiled(robot, factor)
    assert np.array_equal(trajectory(scaled, 500), trajectory(oracle, 500))


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_mass_equals_recompiling_the_scaled_source_to_rounding(
    robot: str, factor: float, compiled: Callable[..., MjModel], trajectory: Callable[..., Floats]
) -> None:
    scaled, oracle = mass(factor)(compiled(robot)), compiled(robot, factor)
    for name in ("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0"):
        np.testing.assert_allclose(getattr(scaled, name)[1:], getattr(oracle, name)[1:], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(trajectory(scaled, 10), trajectory(oracle, 10), rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_each_of_500_steps_is_that_of_the_recompiled_source_to_1e12(
    robot: str, factor: float, compiled: Callable[..., MjModel], step_gap: Callable[..., Floats]
) -> None:
    """One step from each of 500 states, not two trajectories: a fall amplifies any rounding."""
    scaled = mass(factor)(compiled(robot))
    assert step_gap(scaled, compiled(robot, factor)).max() < 1e-12
    assert step_gap(scaled, compiled(robot, factor * (1 + 1e-9))).max() > 1e-12  # it would be seen


def test_inertia_and_derived_constants_follow_the_mass(hopper: MjModel) -> None:
    heavy = mass(2.0)(hopper)
    assert np.array_equal(heavy.body_mass, 2 * hopper.body_mass)
    assert np.array_equal(heavy.body_inertia, 2 * hopper.body_inertia)
    np.testing.assert_allclose(heavy.body_subtreemass[1], 2 * hopper.body_subtreemass[1], rtol=1e-14)
    assert (heavy.dof_invweight0[:2] < hopper.dof_invweight0[:2]).all()


def test_named_bodies_alone_are_changed(hopper: MjModel) -> None:
    foot = mujoco.mj_name2id(hopper, mujoco.mjtObj.mjOBJ_BODY, "foot")
    for heavy in (mass(3.0, "foot")(hopper), mass(3.0, ["foot"])(hopper)):
        ratio = heavy.body_mass[1:] / hopper.body_mass[1:]
        assert np.array_equal(np.flatnonzero(ratio != 1) + 1, [foot])
        assert heavy.body_mass[foot] == 3 * hopper.body_mass[foot]


def test_a_body_must_be_known_and_not_the_world(hopper: MjModel) -> None:
    with pytest.raises(ValueError, match="no body 'thig': did you mean 'thigh'"):
        mass(2.0, "thig")(hopper)
    with pytest.raises(ValueError, match="is the world"):
        mass(2.0, "world")(hopper)
    with pytest.raises(ValueError, match="no name was given"):
        mass(2.0, [])(hopper)
