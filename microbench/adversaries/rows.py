"""Episodes of the victim in lock step; a row whose episode ends starts the next one at once.

Shapes: N rows, S obs, H memory of a recurrent victim, A action.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Target
from microbench.episodes.loop import remembered
from microbench.numerics.rows import as_tensor
from microbench.seeds import ADVERSARY
from microbench.simulators.contract import RestartingSimulator


@dataclass(frozen=True, kw_only=True, eq=False)
class Moved:
    """The result of one step: the victim's reward (N,), and the obs (N, S + H) after it, before any reset.

    `terminal` (N,) marks episodes that terminated, `ended` (N,) these and truncated ones.
    """

    reward: NDArray[np.float64]
    last: Tensor
    terminal: NDArray[np.bool_]
    ended: NDArray[np.bool_]


class Rows:
    """All rows of a simulator under one policy.

    The first episode of a row is truncated at a random age; otherwise rows that never terminate would all have the same
    age. A number that is not finite ends its episode, with a reward of 0.
    """

    def __init__(self, target: Target, simulator: RestartingSimulator, rng: np.random.Generator) -> None:
        self._target, self._simulator = target, simulator
        n, horizon = simulator.n, simulator.task.horizon
        self._seeds = _fresh_seeds(rng, n)
        self._limit = rng.integers(1, horizon, n, endpoint=True)
        self._age, self._earned = np.zeros(n, np.int64), np.zeros(n)
        self._actions = np.zeros((horizon, n, len(simulator.action_low)), np.float32)  # of the running episodes
        self.finished: list[float] = []  # returns of whole episodes since the caller last emptied the list
        obs = simulator.reset(self._seeds.tolist())
        self.obs = torch.cat([as_tensor(obs), self._target.start.expand(n, -1)], 1)  # (N, S + H)

    @torch.no_grad()
    def step(self, seen: Tensor, rng: np.random.Generator) -> Moved:
        """Step with the policy's actions on seen (N, S + H); new episodes take their seeds from `rng`."""
        action = self._target.policy(seen).float().numpy()
        memory = remembered(self._target, seen, self.obs)
        known = np.isfinite(action).all(1)
        if not known.all():
            action = np.where(known[:, None], action, 0)
        action = np.clip(action, self._simulator.action_low, self._simulator.action_high)
        everybody = np.arange(len(action))
        self._actions[self._age, everybody] = action
        state, reward, terminated, cut = self._simulator.step(action, everybody)
        last = torch.cat([as_tensor(state), memory], 1) if memory.shape[1] else as_tensor(state)  # no copy
        known &= np.isfinite(reward) & np.isfinite(last.numpy()).all(1)
        if not known.all():
            reward, last = np.where(known, reward, 0), last.nan_to_num(0, 0, 0)
        self._age += 1
        self._earned += reward
        terminal = terminated | ~known
        ended = terminal | cut | (self._age >= self._limit)
        self.obs = last
        self._restart(np.flatnonzero(ended), terminal | cut, rng)
        return Moved(reward=reward, last=last, terminal=terminal, ended=ended)

    def _restart(self, ids: NDArray[np.int64], whole: NDArray[np.bool_], rng: np.random.Generator) -> None:
        if not len(ids):
            return
        horizon = self._simulator.task.horizon
        self.finished += self._earned[ids][whole[ids]].tolist()
        self._seeds[ids], self._limit[ids] = _fresh_seeds(rng, len(ids)), horizon
        self._age[ids], self._earned[ids] = 0, 0.0
        obs = as_tensor(self._simulator.restart(ids, self._seeds[ids].tolist()))
        self.obs = self.obs.clone()
        self.obs[torch.from_numpy(ids)] = torch.cat([obs, self._target.start.expand(len(ids), -1)], 1)

    def state_dict(self) -> dict[str, Tensor]:
        """The state of the running episodes: their seeds, and the actions since their starts."""
        kept = {name: torch.from_numpy(getattr(self, f"_{name}").copy()) for name in _STATE}
        actions = torch.from_numpy(self._actions[: self._age.max(initial=0)].copy())
        return kept | {"actions": actions, "obs": self.obs.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the stored episodes: every row starts from its seed and repeats its actions, bit for bit."""
        for name in _STATE:
            getattr(self, f"_{name}")[:] = state[name].numpy()
        actions = state["actions"].numpy()
        self._actions[: len(actions)] = actions
        self._simulator.reset(self._seeds.tolist())
        for age, row in enumerate(actions):
            ids = np.flatnonzero(self._age > age)
            self._simulator.step(row[ids], ids)
        self.obs, self.finished = state["obs"].clone(), []


_STATE = ("seeds", "limit", "age", "earned")


def _fresh_seeds(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    return rng.integers(ADVERSARY.start, ADVERSARY.stop, count)
