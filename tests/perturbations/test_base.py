"""What every perturbation promises; much of it is what earlier robustness code was found not to keep."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt
import pytest
from mujoco import MjModel

from perturbations import PERTURBATIONS, compose, is_no_op, mass

Floats = npt.NDArray[np.float64]
PHYSICS = {name: record for name, record in PERTURBATIONS.items() if not record.disturbs}
EACH = sorted(PHYSICS)
SIGNALS = sorted(PERTURBATIONS.keys() - PHYSICS.keys())


def bits(model: MjModel) -> bytes:
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


@pytest.mark.parametrize("name", EACH)
def test_factor_one_is_bit_identical_and_a_copy(name: str, model: MjModel) -> None:
    same = PHYSICS[name](PHYSICS[name].nominal)(model)
    assert same is not model
    assert bits(same) == bits(model)


@pytest.mark.parametrize("name", EACH)
def test_the_input_is_unchanged_and_nothing_compounds(name: str, model: MjModel) -> None:
    before = bits(model)
    once, again = PHYSICS[name](0.7)(model), PHYSICS[name](0.7)(model)
    assert bits(model) == before
    assert bits(once) == bits(again)
    assert bits(once) != before or is_no_op(model, once)


@pytest.mark.parametrize("name", ["mass", "friction", "gravity", "damping", "armature", "strength", "limb-size"])
def test_every_parameter_changes_the_trajectory_against_an_equal_control(
    name: str, model: MjModel, trajectory: Callable[..., Floats]
) -> None:
    control = trajectory(PHYSICS[name](1.0)(model))
    assert np.array_equal(control, trajectory(PHYSICS[name](1.0)(model)))
    assert np.array_equal(control, trajectory(model))
    assert np.abs(trajectory(PHYSICS[name](0.7)(model)) - control).max() > 1e-3
    assert np.abs(trajectory(PHYSICS[name](1.3)(model)) - control).max() > 1e-3


def test_no_installed_file_changes_and_nothing_is_written(
    robot: str,
    compiled: Callable[..., MjModel],
    trajectory: Callable[..., Floats],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assets = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(assets.rglob("*.xml"))]
    every = compose(*(record(1.1) for name, record in PHYSICS.items() if name != "limb-size"))
    trajectory(every(compiled(robot)))  # the mass that limb-size keeps is no longer one of geoms at one density
    after = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(assets.rglob("*.xml"))]
    assert before == after
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        (name, factor)
        for name in (*EACH, *SIGNALS)
        for factor in (-1.0, float("nan"), float("inf"), float("-inf"))
        if (name, factor) not in {("wind", -1.0), ("action-bias", -1.0)}  # these have a direction
    ],
)
def test_impossible_factors_are_refused_at_once(name: str, factor: float) -> None:
    with pytest.raises(ValueError, match="a factor must be") as caught:
        PERTURBATIONS[name](factor)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gravity", "friction", "damping", "stiffness", "frictionloss"])
def test_zero_means_something_for_forces(name: str, model: MjModel) -> None:
    PERTURBATIONS[name](0.0)(model)


@pytest.mark.parametrize("name", ["mass", "armature", "strength", "limb-size", "limb-size-density", "compat:rrls-mass"])
def test_zero_means_nothing_for_inertia_and_motors(name: str) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        PERTURBATIONS[name](0.0)


def test_compose_applies_all_and_of_nothing_is_a_copy(hopper: MjModel) -> None:
    both = compose(mass(2.0), PERTURBATIONS["gravity"](0.5))(hopper)
    assert np.array_equal(both.body_mass, 2.0 * hopper.body_mass)
    assert both.opt.gravity[2] == -9.81 / 2
    nothing = compose()(hopper)
    assert nothing is not hopper
    assert bits(nothing) == bits(hopper)
