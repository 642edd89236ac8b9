"""A world in which the present action alone decides the reward, so that the best adversary is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Memory, Target, Threat
from microbench.adversaries.opponent import Opponent
from microbench.tasks.record import Task

SENSORS, ACTIONS = 4, 2
WEIGHT = torch.tensor([[1.0, -0.5, 0.0, 0.25], [0.5, 1.0, -1.0, 0.0]])  # a = W s
PRICE = np.array([1.0, 0.5])  # reward = 3 + price · a
SLOPE = torch.tensor([1.25, 0.0, -0.5, 0.25])  # Wᵀ · price
SCALE = torch.tensor([0.5, 5.0, 2.0, 4.0])
TASK = Task(env_id="Bandit-v0", obs_size=SENSORS, action_size=ACTIONS, horizon=20)


@dataclass
class Bandit:
    """Every step shows normal numbers of the row's own generator; nothing is remembered; row 0 falls every 5 steps."""

    task: Task
    n: int

    def __post_init__(self) -> None:
        self.action_low = np.full(ACTIONS, -100, np.float32)
        self.action_high = np.full(ACTIONS, 100, np.float32)
        self.unstable, self.dt = np.zeros(self.n, np.bool_), np.ones(self.n)
        self.t = np.zeros(self.n, np.int64)
        self.rngs = [np.random.default_rng(0)] * self.n
        self.started: list[int] = []

    def reset(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        return self.restart(np.arange(self.n), seeds)

    def restart(self, ids: NDArray[np.int64], seeds: Sequence[int]) -> NDArray[np.float64]:
        for i, seed in zip(ids, seeds, strict=True):
            self.rngs[i] = np.random.default_rng(seed)
            self.started.append(seed)
        self.t[ids] = 0
        return self._obs(ids)

    def step(self, action: Any, ids: Any, wrench: Any = None) -> Any:
        self.t[ids] += 1
        return self._obs(ids), 3 + action @ PRICE, (ids == 0) & (self.t[ids] == 5), self.t[ids] >= self.task.horizon

    def close(self) -> None:
        pass

    def _obs(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.stack([self.rngs[i].normal(0, 0.3, SENSORS) for i in ids])


def linear_policy(obs: Tensor) -> Tensor:
    return obs[:, :SENSORS] @ WEIGHT.T


def opponent(
    method: str = "sa-rl", *, eps: float = 1.0, norm: str = "linf", hidden: Sequence[int] = (), memory: bool = False
) -> Opponent:
    """The linear policy, whose sensors `hidden` are closed to the attacker; with memory, it counts steps."""
    scale = SCALE.clone()
    scale[list(hidden)] = 0
    counter = Memory(start=torch.zeros(1), advance=lambda seen, obs: seen[:, SENSORS:] + 1)
    target = Target(policy=linear_policy, obs_scale={"raw": SCALE}, memory=counter if memory else None)
    wide = torch.cat([scale, torch.zeros(1)]) if memory else scale
    threat = Threat(eps=eps, scale=wide, unit="raw", norm=norm)  # type: ignore[arg-type]  # Threat checks the name
    return Opponent(target=target, task=TASK, threat=threat, method=method)


def optimum(eps: float = 1.0, norm: str = "linf", hidden: Sequence[int] = ()) -> float:
    """What the best adversary takes from the reward of a step, by the norm dual to the threat's."""
    slope = eps * SCALE * SLOPE
    slope[list(hidden)] = 0
    return float(slope.abs().sum() if norm == "linf" else slope.norm())
