"""Making a Gymnasium environment without noise: no remarks on the screen, no file in the working directory."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt


def make_env(
    env_id: str, horizon: int | None = None
) -> gymnasium.Env[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """`gymnasium.make` without its remark that a newer task exists: D4RL-era policies need -v4."""
    with warnings.catch_warnings(), warnings_counted_only():
        warnings.filterwarnings("ignore", ".*The environment .* is out of date.*", DeprecationWarning)
        return gymnasium.make(env_id, max_episode_steps=horizon, disable_env_checker=True)


@contextmanager
def warnings_counted_only() -> Iterator[None]:
    """MuJoCo's warnings stay in its counters: nothing on the screen, no MUJOCO_LOG.TXT."""
    handler = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(_ignore)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(handler)


def _ignore(message: str) -> None:
    """What matters is in the counters, which `Simulator.unstable` reads."""
