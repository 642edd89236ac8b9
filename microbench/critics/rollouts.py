"""Clean episodes of the victim, with noise on its actions, so that a critic is fitted to other actions as well.

Shapes: B rows still running, S obs, H memory of a recurrent policy (0 for others), A action.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Noise, Target
from microbench.critics.steps import Steps, actions_of
from microbench.episodes.loop import deterministic_action, remembered
from microbench.numerics.rows import as_tensor
from microbench.seeds import Stream
from microbench.simulators.contract import Simulator, make_simulator, nominal_model
from microbench.tasks import Task

MOST_ROWS = 100  # episodes in lock step


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One step of the rows `ids` (B,): obs (B, S + H), action (B, A), reward (B,), next_obs (B, S + H)."""

    ids: NDArray[np.int64]
    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    terminated: NDArray[np.bool_]


def walk(
    target: Target,
    simulator: Simulator,
    seeds: Sequence[int],
    change: Callable[[int, NDArray[np.int64], Tensor], Tensor],
) -> Iterator[Step]:
    """Yield the steps of episodes in lock step, one step of all running rows after the other.

    `change(time, ids, action (B, A)) → action` may replace the policy's action; the result is clipped to the box. A row
    with a number that is not finite ends before that step.
    """
    ids = np.arange(simulator.n)
    obs = torch.cat([as_tensor(simulator.reset(seeds)), target.start.expand(len(ids), -1)], 1)
    time = 0
    while len(ids):
        action = change(time, ids, torch.from_numpy(deterministic_action(target.policy, obs)))
        action = action.clamp(torch.from_numpy(simulator.action_low), torch.from_numpy(simulator.action_high))
        state, reward, terminated, truncated = simulator.step(action.numpy(), ids)
        next_obs = torch.cat([as_tensor(state), remembered(target, obs, obs)], 1)
        rewards = torch.from_numpy(reward).float()
        fine = (next_obs.isfinite().all(1) & rewards.isfinite() & action.isfinite().all(1)).numpy()
        yield Step(
            ids=ids[fine],
            obs=obs[fine],
            action=action[fine],
            reward=rewards[fine],
            next_obs=next_obs[fine],
            terminated=terminated[fine],
        )
        going = fine & ~(terminated | truncated)
        ids, obs, time = ids[going], next_obs[going], time + 1


def roll_out(target: Target, task: Task, seeds: Sequence[int], noise: Sequence[float] = (0.0,)) -> Steps:
    """Run one episode per seed; episode i has Gaussian noise of std noise[i mod len(noise)] on every action.

    Stds are in half-widths of the action box. The random numbers of an episode depend on its seed alone.
    """
    sizes = torch.tensor([noise[number % len(noise)] for number in range(len(seeds))])
    parts = []
    for start in range(0, len(seeds), MOST_ROWS):
        some = slice(start, start + MOST_ROWS)
        parts.append(_in_order(list(_explored(target, task, seeds[some], sizes[some]))))
    return _joined(target, parts)


def _explored(target: Target, task: Task, seeds: Sequence[int], sizes: Tensor) -> Iterator[Step]:
    simulator = make_simulator(task, [nominal_model(task)] * len(seeds))
    half = torch.from_numpy(simulator.action_high - simulator.action_low) / 2
    draws = Noise.from_seeds(seeds, Stream.EXPLORATION)

    def explore(time: int, ids: NDArray[np.int64], action: Tensor) -> Tensor:
        return action + sizes[ids, None] * half * draws.rows(torch.from_numpy(ids)).normal(task.action_size)

    with closing(simulator):
        yield from walk(target, simulator, seeds, explore)


def _in_order(taken: Sequence[Step]) -> Step:
    """All steps as one, sorted by episode."""
    ids = np.concatenate([step.ids for step in taken])
    order = np.argsort(ids, kind="stable")
    tensors = {
        name: torch.cat([getattr(step, name) for step in taken])[torch.from_numpy(order)]
        for name in ("obs", "action", "reward", "next_obs")
    }
    return Step(ids=ids[order], terminated=np.concatenate([step.terminated for step in taken])[order], **tensors)


def _joined(target: Target, parts: Sequence[Step]) -> Steps:
    obs, action, reward, next_obs = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("obs", "action", "reward", "next_obs")
    )
    lengths = torch.from_numpy(np.concatenate([np.unique(part.ids, return_counts=True)[1] for part in parts]))
    last = torch.zeros(len(obs), dtype=torch.bool)
    last[lengths.cumsum(0) - 1] = True
    intended = actions_of(target.policy, next_obs)
    return Steps(
        obs=obs,
        action=action,
        reward=reward,
        next_obs=next_obs,
        terminal=torch.from_numpy(np.concatenate([part.terminated for part in parts])).float(),
        next_intended=intended,
        next_executed=torch.where(last[:, None], intended, action.roll(-1, 0)),
        lengths=lengths,
    )
