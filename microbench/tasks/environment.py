"""Making a Gymnasium environment without noise: no remarks on the screen, no file in the working directory."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt

from microbench.tasks import adroit

# Names of ours for what Gymnasium makes of a registered id with other arguments.
VARIANTS: dict[str, tuple[str, dict[str, bool]]] = {"AntContactForces-v4": ("Ant-v4", {"use_contact_forces": True})}


def is_registered(env_id: str) -> bool:
    """Whether there is such an environment; Adroit's are made known to Gymnasium here.

    Raises:
        UserError: an Adroit id, but the release of gymnasium-robotics that is known is not installed.
    """
    if env_id.startswith("AdroitHand") or env_id in adroit.RULES:
        adroit.register()
    return env_id in gymnasium.registry or env_id in adroit.RULES or env_id in VARIANTS


def registered(env_id: str) -> str:
    """The id under which Gymnasium knows a task: another one for D4RL's Adroit tasks."""
    rules = adroit.RULES.get(env_id)
    return env_id if rules is None else rules.registered


def make_env(
    env_id: str, horizon: int | None = None
) -> gymnasium.Env[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """`gymnasium.make` without its remark that a newer task exists: D4RL-era policies need -v4.

    D4RL's Adroit tasks are the registered ones by D4RL's rules. `horizon` in steps; None is the task's own.
    """
    is_registered(env_id)
    rules = adroit.RULES.get(env_id)
    if horizon is None and rules is not None:
        horizon = rules.horizon
    with warnings.catch_warnings(), warnings_counted_only():
        warnings.filterwarnings("ignore", ".*The environment .* is out of date.*", DeprecationWarning)
        known, arguments = VARIANTS.get(env_id, (registered(env_id), {}))
        env = gymnasium.make(known, max_episode_steps=horizon, disable_env_checker=True, **arguments)
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
