"""A world whose episodes are written by hand, and policies for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from attacks import Target
from microbench.learning.agent import AgentConfig, make_agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.tasks.record import Task

TASK = Task(env_id="Scripted-v0", obs_size=2, action_size=1)


@dataclass
class Scripted:
    """Row i starts at (seed, 0), sees (seed, t), earns seed + action, and ends after lengths[i] steps.

    `obs_at` and `reward_at` replace single numbers at (row, t); of obs the first.
    """

    lengths: Sequence[int]
    obs_at: dict[tuple[int, int], float] = field(default_factory=dict)
    reward_at: dict[tuple[int, int], float] = field(default_factory=dict)
    broken: Sequence[int] = ()
    task: Task = TASK
    action_low: NDArray[np.float32] = field(default_factory=lambda: np.array([-1], np.float32))
    action_high: NDArray[np.float32] = field(default_factory=lambda: np.array([1], np.float32))

    def __post_init__(self) -> None:
        self.n = len(self.lengths)
        self.dt = np.ones(self.n)
        self.resets: list[list[int]] = []
        self.steps: list[tuple[list[int], list[float]]] = []  # rows and actions
        self.t = np.zeros(self.n, np.int64)

    @property
    def unstable(self) -> NDArray[np.bool_]:
        return np.isin(np.arange(self.n), self.broken)

    def reset(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        self.resets.append(list(seeds))
        self.seeds = np.array(seeds, np.float64)
        self.t[:] = 0
        return self._obs(np.arange(self.n))

    def step(self, action: Any, ids: Any, wrench: Any = None) -> Any:
        assert len(ids)
        assert (np.diff(ids) > 0).all()
        self.steps.append((ids.tolist(), action[:, 0].tolist()))
        self.t[ids] += 1
        reward = self.seeds[ids] + action[:, 0]
        at = [(int(i), int(self.t[i])) for i in ids]
        reward = np.array([self.reward_at.get(place, r) for place, r in zip(at, reward, strict=True)])
        over = self.t[ids] >= np.array(self.lengths)[ids]
        return self._obs(ids), reward, over & (ids % 2 == 0), over & (ids % 2 == 1)

    def close(self) -> None:
        pass

    def _obs(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        first = [self.obs_at.get((int(i), int(self.t[i])), self.seeds[i]) for i in ids]
        return np.stack([first, self.t[ids]], 1).astype(np.float64)


class Spy:
    """A policy whose action is 0.01 times the first observation; remembers what it was shown while episodes run."""

    def __init__(self, action: Callable[[Tensor], Tensor] = lambda obs: 0.01 * obs[:, :1]) -> None:
        self.action, self.shown = action, list[Tensor]()

    def __call__(self, obs: Tensor) -> Tensor:
        self.shown.append(obs.clone())
        return self.action(obs)


def real_target() -> Target:
    """Real networks, an actor and two critics, and everything that an attack may need."""
    agent = make_agent(2, 1, AgentConfig(hidden=(32, 32)), ALGORITHMS["sac"], seed=0, device=torch.device("cpu"))
    agent.actor.requires_grad_(False)
    agent.critics.requires_grad_(False)
    one = torch.ones(1)

    def distribution(obs: Tensor) -> Normal:
        mean, log_std = agent.actor.head(obs)
        return Normal(mean, log_std.exp())

    return Target(
        policy=agent.actor,
        critic=lambda obs, action: agent.critics(obs, action).amin(0),
        critics=agent.critics,
        state_value=lambda obs: agent.critics(obs, obs[:, :1]).sum(0),
        distribution=distribution,
        obs_scale={},
        obs_bounds=(-100 * torch.ones(2), 100 * torch.ones(2)),
        action_box=(-one, one),
    )
