"""A linear system under a linear policy at a quadratic cost, whose worst adversaries can be found by brute force."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Target, Threat
from microbench.adversaries.opponent import Opponent
from microbench.tasks.record import Task

A = np.array([[1.0, 0.2], [0.0, 0.9]])
B = np.array([[0.0], [0.5]])
K = np.array([[0.6, 0.8]])  # a = −K seen
SCALE = np.array([0.5, 0.25])
TASK = Task(env_id="Linear-v0", obs_size=2, action_size=1, horizon=20)


@dataclass
class LinearSystem:
    """x' = A x + B a + noise, reward −‖x'‖²; with noise 0 only the start state, of the row's own seed, is random."""

    task: Task
    n: int
    noise: float = 0.0

    def __post_init__(self) -> None:
        self.action_low, self.action_high = np.full(1, -100, np.float32), np.full(1, 100, np.float32)
        self.unstable, self.dt = np.zeros(self.n, np.bool_), np.ones(self.n)
        self.t, self.x = np.zeros(self.n, np.int64), np.zeros((self.n, 2))
        self.draws = np.zeros((self.n, self.task.horizon, 2))

    def reset(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        return self.restart(np.arange(self.n), seeds)

    def restart(self, ids: NDArray[np.int64], seeds: Sequence[int]) -> NDArray[np.float64]:
        for i, seed in zip(ids, seeds, strict=True):
            rng = np.random.default_rng(seed)
            self.x[i] = rng.uniform(-1, 1, 2)
            self.draws[i] = self.noise * rng.normal(size=self.draws[i].shape)
        self.t[ids] = 0
        return self.x[ids]

    def step(self, action: Any, ids: Any, wrench: Any = None) -> Any:
        self.x[ids] = self.x[ids] @ A.T + action @ B.T + self.draws[ids, self.t[ids]]
        self.t[ids] += 1
        ended = self.t[ids] >= self.task.horizon
        return self.x[ids], -np.square(self.x[ids]).sum(1), np.zeros(len(ids), np.bool_), ended

    def close(self) -> None:
        pass


def policy(obs: Tensor) -> Tensor:
    return -obs[:, :2] @ torch.from_numpy(K.T).float()


def blind(obs: Tensor) -> Tensor:
    """The same policy without gradients."""
    return policy(obs.detach())


def opponent(method: str, *, gradients: bool = True) -> Opponent:
    scale = torch.from_numpy(SCALE).float()
    target = Target(policy=policy if gradients else blind, obs_scale={"raw": scale})
    return Opponent(target=target, task=TASK, threat=Threat(eps=1.0, scale=scale, unit="raw"), method=method)


def returns(weight: NDArray[np.float64], bias: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns (N, E) of N adversaries u = clip(W x + b, ±1), W (N, 2, 2), b (N, 2), from E start states: by hand."""
    x = np.broadcast_to(start, (len(bias), *start.shape)).copy()
    total = np.zeros(x.shape[:2])
    for _ in range(TASK.horizon):
        push = np.clip(np.einsum("nij,nej->nei", weight, x) + bias[:, None], -1, 1)
        action = -(x + SCALE * push) @ K.T
        x = x @ A.T + action @ B.T
        total -= np.square(x).sum(-1)
    return total


def start_states(seeds: Sequence[int]) -> NDArray[np.float64]:
    """Start states of these seeds and their mirror images, so that an adversary and its mirror image leave the same."""
    drawn = np.stack([np.random.default_rng(seed).uniform(-1, 1, 2) for seed in seeds])
    return np.concatenate([drawn, -drawn])
