"""What every perturbation promises. The names D1 … D11 are the known defects of earlier robustness code."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt
import pytest
from mujoco import MjModel

from perturbations import PERTURBATIONS, Perturbation, compose, mass, parse, resolve

Floats = npt.NDArray[np.float64]
EACH = sorted(PERTURBATIONS)


def bits(model: MjModel) -> bytes:
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    return buffer.tobytes()


@pytest.mark.parametrize("name", EACH)
def test_d9_factor_one_is_bit_identical_and_a_copy(name: str, model: MjModel) -> None:
    same = PERTURBATIONS[name](1.0)(model)
    assert same is not model
    assert bits(same) == bits(model)


@pytest.mark.parametrize("name", EACH)
def test_d9_the_input_is_unchanged_and_nothing_compounds(name: str, model: MjModel) -> None:
    before = bits(model)
    once, again = PERTURBATIONS[name](0.7)(model), PERTURBATIONS[name](0.7)(model)
    assert bits(model) == before
    assert bits(once) == bits(again) != before


@pytest.mark.parametrize("name", EACH)
def test_d10_every_parameter_changes_the_trajectory_against_an_equal_control(
    name: str, model: MjModel, trajectory: Callable[..., Floats]
) -> None:
    control = trajectory(PERTURBATIONS[name](1.0)(model))
    assert np.array_equal(control, trajectory(PERTURBATIONS[name](1.0)(model)))
    assert np.array_equal(control, trajectory(model))
    assert np.abs(trajectory(PERTURBATIONS[name](0.7)(model)) - control).max() > 1e-3
    assert np.abs(trajectory(PERTURBATIONS[name](1.3)(model)) - control).max() > 1e-3


def test_d7_no_installed_file_changes_and_nothing_is_written(
    robot: str,
    compiled: Callable[..., MjModel],
    trajectory: Callable[..., Floats],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assets = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(assets.rglob("*.xml"))]
    trajectory(compose(*(make(1.1) for make in PERTURBATIONS.values()))(compiled(robot)))
    after = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(assets.rglob("*.xml"))]
    assert before == after
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf"), float("-inf")])
def test_impossible_factors_are_refused(name: str, factor: float) -> None:
    with pytest.raises(ValueError, match="a factor must be finite"):
        PERTURBATIONS[name](factor)


@pytest.mark.parametrize(("name", "allowed"), [("gravity", True), ("friction", True), ("damping", True)])
def test_zero_means_something_for_forces(name: str, allowed: bool, model: MjModel) -> None:
    PERTURBATIONS[name](0.0)(model)


@pytest.mark.parametrize("name", ["mass", "armature", "strength"])
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


def test_parse_reads_what_the_command_line_writes(hopper: MjModel) -> None:
    expected = compose(mass(1.2), PERTURBATIONS["friction"](0.8))(hopper)
    assert bits(parse("mass=1.2, friction=0.8")(hopper)) == bits(expected)


@pytest.mark.parametrize("text", ["", "mass", "mass=", "mass=heavy", "mass=1.2,"])
def test_parse_refuses_what_is_not_a_name_and_a_factor(text: str) -> None:
    with pytest.raises(ValueError, match=r"write them as mass=1\.2"):
        parse(text)


def test_d8_an_unknown_parameter_raises_and_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'gravity'"):
        resolve("gravty")
    with pytest.raises(ValueError, match="did you mean 'mass'"):
        parse("mas=1.2")


def test_resolve_takes_a_function_of_ones_own(hopper: MjModel) -> None:
    make: Callable[[float], Perturbation] = resolve("perturbations.bodies:mass")
    assert bits(make(1.5)(hopper)) == bits(mass(1.5)(hopper))


@pytest.mark.parametrize("name", ["no_such_module:f", "perturbations.bodies:no_such", ":f", "perturbations.bodies:"])
def test_resolve_refuses_what_it_cannot_find(name: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be imported|has no function"):
        resolve(name)
