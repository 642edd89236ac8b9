"""Adroit's tasks by the rules of D4RL, whose reference scores they are measured with: pen-v1, door-v1 and so on.

The registered environments of gymnasium-robotics (AdroitHandPen-v1 and so on) differ from D4RL's in two ways and stay
as they are. In door, hammer and relocate they add 0.1 per metre between hand and object to the reward, and D4RL's
subtracted it. Their pen runs for 200 steps, and D4RL's ended after 100 or when the pen was dropped. The observation
holds all that these rules need. By D4RL's rules a random policy gets D4RL's random score.
"""

import importlib
import io
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib import metadata
from typing import Any, SupportsFloat, TypeAlias

import gymnasium
import numpy as np
import numpy.typing as npt

from microbench.errors import UserError
from microbench.tasks import imagined
from microbench.tasks.record import Task

Obs: TypeAlias = npt.NDArray[np.float64]
Env: TypeAlias = gymnasium.Env[Any, Any]

VERSION = "1.4.2"
"""The only supported release of gymnasium-robotics: other releases have other rewards under the same names."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The differences between D4RL's environment and the `registered` one.

    The length of `hand_to_object(obs)` (3,), in metres, lowers the reward; the episode terminates where `ends(obs)`.
    """

    registered: str
    horizon: int = 200
    hand_to_object: Callable[[Obs], Obs] | None = None
    ends: Callable[[Obs], bool] | None = None


RULES: dict[str, Rules] = {
    "pen-v1": Rules(registered="AdroitHandPen-v1", horizon=100, ends=lambda obs: bool(obs[26] < 0.075)),
    "door-v1": Rules(registered="AdroitHandDoor-v1", hand_to_object=lambda obs: obs[35:38]),
    "hammer-v1": Rules(registered="AdroitHandHammer-v1", hand_to_object=lambda obs: obs[33:36] - obs[36:39]),
    "relocate-v1": Rules(registered="AdroitHandRelocate-v1", hand_to_object=lambda obs: obs[30:33]),
}


class ByD4RL(gymnasium.Wrapper[Obs, Any, Obs, Any]):
    """An Adroit environment with D4RL's reward and termination; states and observations are unchanged."""

    def __init__(self, env: Env, rules: Rules) -> None:
        super().__init__(env)
        self._rules = rules

    def step(self, action: Any) -> tuple[Obs, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment, then replace reward and termination by D4RL's."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        if self._rules.hand_to_object is not None:
            distance = float(np.linalg.norm(self._rules.hand_to_object(obs)))
            reward = float(reward) - 0.2 * distance  # + 0.1 becomes − 0.1
        if self._rules.ends is not None:
            terminated = terminated or self._rules.ends(obs)
        return obs, reward, terminated, truncated, info


def require() -> None:
    """Check that the supported release of gymnasium-robotics is installed, without importing it.

    Raises:
        UserError: gymnasium-robotics is missing, or another release is installed.
    """
    try:
        installed = metadata.version("gymnasium-robotics")
    except metadata.PackageNotFoundError:
        installed = "none"
    if installed != VERSION:
        raise UserError(
            f"Adroit tasks need gymnasium-robotics {VERSION}, but {installed} is installed: install the extra 'adroit' "
            f"of microbench-rl (gymnasium-robotics=={VERSION})."
        )


def register() -> None:
    """Register Adroit's ids in Gymnasium."""
    require()
    # On import it prints on stderr that the rewards changed without a new version: `ByD4RL` changes them back.
    with redirect_stderr(io.StringIO()):
        importlib.import_module("gymnasium_robotics")


def _task(name: str, obs_size: int, action_size: int, random_score: float, expert_score: float) -> Task:
    env_id = f"{name}-v1"
    return Task(
        env_id=env_id,
        name=name,
        obs_size=obs_size,
        action_size=action_size,
        horizon=RULES[env_id].horizon,
        random_score=random_score,
        expert_score=expert_score,
        imagined_terminal=imagined.pen_drops if name == "pen" else imagined.never_ends,
    )


_ALL = (
    _task("pen", 45, 24, 96.262799, 3076.8331017826877),
    _task("door", 39, 28, -56.512833, 2880.5693087298737),
    _task("hammer", 46, 26, -274.856578, 12794.134825156867),
    _task("relocate", 39, 30, -6.425911, 4233.877797728884),
)

ADROIT_TASKS: dict[str, Task] = {task.env_id: task for task in _ALL}
