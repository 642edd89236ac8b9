"""Copies of the rows of a simulation, in which an attack looks ahead: the protocols of `attacks.world`.

B rows still running, N copies of each, S obs, H memory of a recurrent policy (0 for others).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Target
from attacks.world import Fork, InWorld, World
from microbench.episodes.loop import deterministic_action, remembered
from microbench.errors import UserError
from microbench.numerics.rows import as_tensor, finite
from microbench.simulators.contract import BatchedSimulator, Simulator
from perturbations import Signals


def lookahead(
    attack: object, target: Target, simulator: Simulator, signals: Sequence[Sequence[Signals]]
) -> "Lookahead | None":
    """The Lookahead of an attack that looks ahead; None for all others.

    Raises:
        UserError: the simulator cannot be copied, because it is Gymnasium's or its signals are disturbed.
    """
    if not isinstance(attack, InWorld):
        return None
    if any(signals):
        raise UserError(
            "an attack that looks ahead needs copies of the world, and there are none of one whose signals are "
            "disturbed (latency, action-noise, push, sensor-…); perturb the physics alone, or choose another attack."
        )
    return Lookahead(target, simulator)


class Lookahead:
    """Makes a `World` of the rows still running; their copies run in a simulator of their own.

    Raises:
        UserError: the simulator is Gymnasium itself, whose environments cannot be copied.
    """

    def __init__(self, target: Target, simulator: Simulator) -> None:
        if not isinstance(simulator, BatchedSimulator):
            raise UserError(
                f"'{simulator.task.env_id}' runs in Gymnasium itself, whose state cannot be copied to look ahead; "
                "choose an attack that needs no simulator, for example pgd."
            )
        self._target, self._simulator = target, simulator
        self._copies: dict[int, BatchedSimulator] = {}

    def __call__(self, ids: NDArray[np.int64], obs: Tensor) -> World:
        """The world of the rows `ids` (B,), whose observations are obs (B, S + H) now."""
        return _Present(lookahead=self, ids=ids, obs=obs)

    def fork(self, ids: NDArray[np.int64], obs: Tensor, n: int) -> Fork:
        """Return n copies of the rows `ids` in their present state; a later call may overwrite them."""
        if n not in self._copies:
            self._copies[n] = self._simulator.copies(n)
        rows = (ids[:, None] * n + np.arange(n)).ravel()
        self._copies[n].restore(rows, self._simulator.snapshot(ids).repeated(n))
        return _Copies(self._target, self._copies[n], rows, obs.repeat_interleave(n, 0))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Present:
    """The rows in their present state."""

    lookahead: Lookahead
    ids: NDArray[np.int64]
    obs: Tensor

    def fork(self, n: int, /) -> Fork:
        return self.lookahead.fork(self.ids, self.obs, n)


class _Copies:
    """Rows of the simulator of copies, stepped as the evaluator would step the original rows."""

    def __init__(self, target: Target, simulator: BatchedSimulator, rows: NDArray[np.int64], obs: Tensor) -> None:
        self._target, self._simulator, self._rows = target, simulator, rows
        self._obs, self._alive = obs, np.ones(len(rows), np.bool_)

    def step(self, seen: Tensor, /) -> tuple[Tensor, Tensor, Tensor]:
        """Step as `attacks.world.Fork`; a number that is not finite ends a copy as it ends an episode."""
        rewards = np.zeros(len(self._rows))
        places = np.flatnonzero(self._alive)
        if len(places):
            index = torch.from_numpy(places)
            shown, obs = seen[index], self._obs[index]
            action, memory = deterministic_action(self._target.policy, shown), remembered(self._target, shown, obs)
            valid = finite(action) & finite(memory.numpy())
            self._alive[places[~valid]] = False
            self._move(places[valid], action[valid], memory[torch.from_numpy(valid)], rewards)
        return self._obs.clone(), torch.from_numpy(rewards), torch.from_numpy(self._alive.copy())

    def _move(
        self, places: NDArray[np.int64], action: NDArray[np.float32], memory: Tensor, rewards: NDArray[np.float64]
    ) -> None:
        if not len(places):
            return
        simulator = self._simulator
        action = np.clip(action, simulator.action_low, simulator.action_high)
        state, reward, terminated, truncated = simulator.step(action, self._rows[places])
        obs = as_tensor(state)
        rewards[places] = np.where(np.isfinite(reward), reward, 0)
        goes_on = ~(terminated | truncated) & np.isfinite(reward) & finite(obs.numpy())
        self._alive[places[~goes_on]] = False
        self._obs[torch.from_numpy(places[goes_on])] = torch.cat([obs, memory], 1)[torch.from_numpy(goes_on)]
