"""Gymnasium environments made quietly: no warnings on the screen, no file in the working directory."""

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
    """Whether there is such an environment; Adroit's are registered on the way.

    Raises:
        UserError: it is an Adroit id, and the supported release of gymnasium-robotics is not installed.
    """
    if env_id.startswith("AdroitHand") or env_id in adroit.RULES:
        adroit.register()
    return env_id in gymnasium.registry or env_id in adroit.RULES or env_id in VARIANTS


def registered(env_id: str) -> str:
    """The id under which Gymnasium registers a task; D4RL's Adroit tasks have another id there."""
    rules = adroit.RULES.get(env_id)
    return env_id if rules is None else rules.registered


def make_env(
    env_id: str, horizon: int | None = None
) -> gymnasium.Env[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """A Gymnasium environment, made without the warning that a newer version exists: D4RL-era policies need -v4.

    D4RL's Adroit tasks are the registered ones with D4RL's rules. `horizon` is in steps; None is the task's own.
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
    """A context in which MuJoCo counts its warnings and writes them neither to the screen nor to MUJOCO_LOG.TXT."""
    handler = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(_ignore)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(handler)


def _ignore(message: str) -> None:
    """Drop the message: MuJoCo's counters hold the warning, and `Simulator.unstable` reads them."""
