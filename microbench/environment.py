"""Making a Gymnasium environment without noise: no remarks on the screen, no file in the working directory."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt

from microbench import adroit


def is_registered(env_id: str) -> bool:
    """Whether Gymnasium knows the id; Adroit's are made known here.

    Raises:
        UserError: an Adroit id, but the release of gymnasium-robotics that is known is not installed.
    """
    if env_id.startswith("AdroitHand"):
        adroit.register()
    return env_id in gymnasium.registry


def make_env(
    env_id: str, horizon: int | None = None
) -> gymnasium.Env[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """`gymnasium.make` without its remark that a newer task exists: D4RL-era policies need -v4.

    Adroit's -v1 tasks pay and end as D4RL's. `horizon` in steps; None is the task's own.
    """
    is_registered(env_id)
    rules = adroit.RULES.get(env_id)
    if horizon is None and rules is not None:
        horizon = rules.horizon
    with warnings.catch_warnings(), warnings_counted_only():
        warnings.filterwarnings("ignore", ".*The environment .* is out of date.*", DeprecationWarning)
        env = gymnasium.make(env_id, max_episode_steps=horizon, disable_env_checker=True)
    return env if rules is None else adroit.ByD4RL(env, rules)


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
