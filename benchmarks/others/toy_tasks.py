"""Small environments for policies of Stable-Baselines3: Hopper with wrappers, and one without physics."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

ACTION_SPACES: dict[str, spaces.Space[Any]] = {
    "Discrete": spaces.Discrete(3),
    "MultiDiscrete": spaces.MultiDiscrete([3, 2]),
    "MultiBinary": spaces.MultiBinary(3),
}


class Toy(gymnasium.Env[Any, Any]):
    """Random observations of any space, episodes of 50 steps."""

    def __init__(self, action: spaces.Space[Any], observation: spaces.Space[Any]) -> None:
        self.action_space, self.observation_space, self._step = action, observation, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A random observation."""
        super().reset(seed=seed)
        self._step = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Another one."""
        self._step += 1
        return self.observation_space.sample(), 1.0, False, self._step >= 50, {}


def toy(action: spaces.Space[Any] | None = None, observation: spaces.Space[Any] | None = None) -> Toy:
    """Hopper's sizes unless other spaces are given."""
    return Toy(
        spaces.Box(-1.0, 1.0, (3,), np.float32) if action is None else action,
        spaces.Box(-5.0, 5.0, (11,), np.float64) if observation is None else observation,
    )


def pairs() -> spaces.Space[Any]:
    """A dictionary of two vectors, 11 numbers together."""
    return spaces.Dict({"achieved": spaces.Box(-9, 9, (3,)), "observation": spaces.Box(-9, 9, (8,))})


def venv(env_id: str, seed: int | None, wrapper: Callable[[Any], Any] | None = None) -> Any:
    """Two environments of a task, seeded if there is a seed."""
    from stable_baselines3.common.env_util import make_vec_env

    return make_vec_env(env_id, n_envs=2, seed=seed, wrapper_class=wrapper)


def stacked() -> Any:
    """Hopper with its last four observations."""
    from stable_baselines3.common.vec_env import VecFrameStack

    return VecFrameStack(venv("Hopper-v4", None), 4)


def frames(env: Any) -> Any:
    """Gymnasium's stack of four observations."""
    return gymnasium.wrappers.FrameStackObservation(env, 4)


def time_feature(env: Any) -> Any:
    """What remains of the episode, 1 − step/1000, as the last number."""
    from sb3_contrib.common.wrappers import TimeFeatureWrapper

    return TimeFeatureWrapper(env)


def time_aware(env: Any, **settings: Any) -> Any:
    """The step, or its share of the episode, as the last number."""
    return gymnasium.wrappers.TimeAwareObservation(env, **settings)


def extractor() -> Any:
    """A features extractor without parameters: the weights do not show it."""
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Halved(BaseFeaturesExtractor):  # type: ignore[misc]  # the package may be absent
        def __init__(self, observation_space: spaces.Box) -> None:
            super().__init__(observation_space, int(np.prod(observation_space.shape)))

        def forward(self, observations: Any) -> Any:
            return observations / 2

    return Halved
