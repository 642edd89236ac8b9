"""Gymnasium's robots, a trajectory under fixed controls, and the comparison of two models step by step."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt
import pytest
from mujoco import MjModel

Floats: TypeAlias = npt.NDArray[np.float64]
ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
ROBOTS = ["hopper", "half_cheetah", "walker2d"]
STATE = mujoco.mjtState.mjSTATE_INTEGRATION


def source_of(robot: str) -> mujoco.MjSpec:
    """The source of Gymnasium's robot, its deprecated `settotalmass` left out."""
    spec = mujoco.MjSpec.from_file(str(ASSETS / f"{robot}.xml"))
    spec.compiler.settotalmass = -1
    return spec


def compile_robot(robot: str, density_factor: float = 1.0) -> MjModel:
    """Gymnasium's robot, its densities scaled in the source."""
    spec = source_of(robot)
    for geom in spec.geoms:
        geom.density *= density_factor
    return spec.compile()


def rolled_out(model: MjModel, steps: int = 60) -> Floats:
    """Joint positions and velocities (steps, nq + nv) under the same random controls, from the same start."""
    rng, data = np.random.default_rng(7), mujoco.MjData(model)
    states = []
    for _ in range(steps):
        data.ctrl[:] = rng.uniform(-1, 1, model.nu)
        mujoco.mj_step(model, data, nstep=4)
        states.append(np.concatenate([data.qpos, data.qvel]))
    return np.stack(states)


def one_step_apart(model: MjModel, oracle: MjModel, steps: int = 500) -> Floats:
    """The greatest difference of qpos and of qvel (2,) after one step from each of the states of a trajectory.

    The oracle is put back onto the model's state before every step. Along a fall with contacts two trajectories would
    part by themselves, for rounding grows exponentially; the map of one step is what the models must share.
    """
    rng, data, other = np.random.default_rng(7), mujoco.MjData(model), mujoco.MjData(oracle)
    state, greatest = np.empty(mujoco.mj_stateSize(model, STATE)), np.zeros(2)
    for _ in range(steps):
        data.ctrl[:] = rng.uniform(-1, 1, model.nu)
        mujoco.mj_getState(model, data, state, STATE)
        mujoco.mj_setState(oracle, other, state, STATE)
        mujoco.mj_step(model, data)
        mujoco.mj_step(oracle, other)
        gaps = [np.abs(data.qpos - other.qpos).max(), np.abs(data.qvel - other.qvel).max()]
        greatest = np.maximum(greatest, gaps)
    return greatest


@pytest.fixture(params=ROBOTS)
def robot(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def model(robot: str) -> MjModel:
    return compile_robot(robot)


@pytest.fixture
def hopper() -> MjModel:
    return compile_robot("hopper")


@pytest.fixture
def compiled() -> Callable[..., MjModel]:
    return compile_robot


@pytest.fixture
def source() -> Callable[[str], mujoco.MjSpec]:
    return source_of


@pytest.fixture
def trajectory() -> Callable[..., Floats]:
    return rolled_out


@pytest.fixture
def step_gap() -> Callable[..., Floats]:
    return one_step_apart
