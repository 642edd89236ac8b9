"""The data of a critic: the steps of episodes in order, with the action executed next and the policy's own.

Shapes: N steps, E episodes, S obs (a recurrent policy's memory included), A action.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks import Policy
from microbench.data.dataset import Dataset
from microbench.learning.networks import chunks


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """Steps of whole episodes, one after the other.

    obs            observations (N, S)
    action         executed actions (N, A)
    reward         rewards (N,)
    next_obs       next observations (N, S)
    terminal       1 at termination, 0 elsewhere, truncation included (N,)
    next_intended  π(next_obs), (N, A)
    next_executed  action executed in next_obs, (N, A); π(next_obs) at the end of an episode
    lengths        steps of each episode (E,)
    """

    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    terminal: Tensor
    next_intended: Tensor
    next_executed: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def times(self) -> Tensor:
        """The time (N,) of each step in its episode, from 0."""
        return torch.cat([torch.arange(int(length)) for length in self.lengths])


def returns_to_go(steps: Steps, gamma: float) -> tuple[Tensor, Tensor]:
    """G_t = Σ_k γ^k r_{t+k} to the end of the episode (N,), and the weight γ^k (N,) of rewards after a truncation.

    The weight is 0 in an episode that terminated: its returns are complete.
    """
    rewards, terminal = steps.reward.tolist(), steps.terminal.tolist()
    returns, missing = [0.0] * len(steps), [0.0] * len(steps)
    ends = steps.lengths.cumsum(0).tolist()
    for start, end in zip([0, *ends], ends, strict=False):
        value, left = 0.0, 1.0 - terminal[end - 1]
        for row in range(end - 1, start - 1, -1):
            value, left = rewards[row] + gamma * value, gamma * left
            returns[row], missing[row] = value, left
    return torch.tensor(returns), torch.tensor(missing)


def of_dataset(dataset: Dataset, policy: Policy) -> Steps:
    """The rows of a dataset, made by another policy; an episode ends where the next row does not follow."""
    obs, next_obs, action = (torch.from_numpy(rows) for rows in (dataset.obs, dataset.next_obs, dataset.action))
    follows = torch.zeros(len(dataset), dtype=torch.bool)
    follows[:-1] = (next_obs[:-1] == obs[1:]).all(1)
    follows &= ~torch.from_numpy(dataset.terminal | dataset.timeout)
    intended = actions_of(policy, next_obs)
    last = torch.nonzero(~follows).squeeze(1)
    return Steps(
        obs=obs,
        action=action,
        reward=torch.from_numpy(dataset.reward),
        next_obs=next_obs,
        terminal=torch.from_numpy(dataset.terminal).float(),
        next_intended=intended,
        next_executed=torch.where(follows[:, None], action.roll(-1, 0), intended),
        lengths=torch.diff(last, prepend=torch.tensor([-1])),
    )


@torch.no_grad()
def actions_of(policy: Policy, obs: Tensor) -> Tensor:
    """π(obs), (N, A)."""
    return torch.cat([policy(obs[rows]) for rows in chunks(obs)])
