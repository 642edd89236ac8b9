"""Steps of a chain of four states, whose values are known."""

import torch
from torch import Tensor

from microbench.critics.steps import Steps

GAMMA = 0.9


REWARDS = torch.tensor([1.0, 2.0, 4.0, 8.0])


def always_half(obs: Tensor) -> Tensor:
    return torch.full((len(obs), 1), 0.5)


def chain(episodes: int = 100, seed: int = 0) -> Steps:
    """Four states in a row, then the end; reward 1, 2, 4, 8 plus the action, which is uniform in [−1, 1)."""
    states = torch.eye(4).repeat(episodes, 1)
    action = torch.rand(len(states), 1, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    terminal = torch.tensor([0.0, 0, 0, 1]).repeat(episodes)
    return Steps(
        obs=states,
        action=action,
        reward=REWARDS.repeat(episodes) + action[:, 0],
        next_obs=states.roll(-1, 0) * (1 - terminal)[:, None],
        terminal=terminal,
        next_intended=always_half(states),
        next_executed=action.roll(-1, 0),
        lengths=torch.full((episodes,), 4),
    )
