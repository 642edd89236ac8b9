"""The three robots, and a trajectory under fixed controls."""

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


def compile_robot(robot: str, density_factor: float = 1.0) -> MjModel:
    """Gymnasium's robot, its densities scaled in the source and its deprecated `settotalmass` left out."""
    spec = mujoco.MjSpec.from_file(str(ASSETS / f"{robot}.xml"))
    spec.compiler.settotalmass = -1
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
def trajectory() -> Callable[..., Floats]:
    return rolled_out
