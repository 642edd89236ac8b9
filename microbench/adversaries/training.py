"""Training an adversary: PPO on the batched simulator against a frozen policy, with its reward −r.

Shapes: T steps, N rows, S sensors, H memory of a recurrent victim, D decision. Everything random in one iteration
follows from (seed, number of the iteration), so that a run that goes on from a stored iteration is the same run.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attacks import Noise
from microbench.adversaries import METHODS, ppo
from microbench.adversaries.opponent import Opponent
from microbench.adversaries.outcome import Outcome
from microbench.adversaries.rows import Moved, Rows
from microbench.adversaries.statistics import CLIP, Running, normalised
from microbench.simulators.contract import RestartingSimulator, make_simulator, nominal_model
from microbench.tasks import Task


class Training:
    """One adversary on its way; `run` advances it by iterations, after each of which it may be stored.

    `make(task, rows)` is the simulator it runs on, the untouched task if left out.
    """

    def __init__(
        self,
        opponent: Opponent,
        settings: ppo.Settings,
        *,
        steps: int,
        seed: int,
        make: Callable[[Task, int], RestartingSimulator] | None = None,
    ) -> None:
        self.opponent, self.settings, self.seed = opponent, settings, seed
        self.iterations = max(1, math.ceil(steps / (settings.rows * settings.horizon)))
        self._show = METHODS[opponent.method].show
        decisions = METHODS[opponent.method].decides(opponent.sensors, opponent.task.action_size)
        chance = _Chance(seed, 0, settings.rows)
        self.networks = ppo.Networks(opponent.sensors, decisions, settings, chance.torch)
        self._optimiser = torch.optim.Adam(self.networks.parameters(), lr=settings.lr, eps=1e-5, fused=True)
        self.statistics, self._returns = Running(opponent.sensors), Running(1)
        self._discounted = np.zeros(settings.rows)
        self._simulator = (make or untouched)(opponent.task, settings.rows)
        self._rows = Rows(opponent.target, self._simulator, chance.numpy)
        self.iteration = 0
        self.curve: list[dict[str, float]] = []

    @property
    def steps(self) -> int:
        """Environment steps so far."""
        return self.iteration * self.settings.rows * self.settings.horizon

    @property
    def total(self) -> int:
        """Environment steps of the whole training."""
        return self.iterations * self.settings.rows * self.settings.horizon

    def outcome(self) -> Outcome:
        """The network of the deterministic mean, and the statistics so far."""
        statistics = self.statistics
        return Outcome(layers=tuple(self.networks.deciding()), mean=statistics.mean, std=statistics.std)

    def run(self) -> Iterator[dict[str, float]]:
        """Train to the end; yields the newest line of the curve after every iteration."""
        while self.iteration < self.iterations:
            chance = _Chance(self.seed, 1 + self.iteration, self.settings.rows)
            for group in self._optimiser.param_groups:
                group["lr"] = self.settings.lr * (1 - self.iteration / self.iterations)
            ppo.update(self.networks, self._optimiser, self._collect(chance), self.settings, chance.torch)
            self.iteration += 1
            returns = self._rows.finished
            self.curve.append(
                {
                    "steps": self.steps,
                    "episodes": len(returns),
                    "return": float(np.mean(returns)) if returns else math.nan,
                    "spread": float(self.networks.log_std.detach().exp().mean()),
                }
            )
            self._rows.finished = []
            yield self.curve[-1]

    @torch.no_grad()
    def _collect(self, chance: "_Chance") -> ppo.Samples:
        """Let all rows run for T steps under sampled decisions."""
        settings, rows, sensors = self.settings, self._rows, self.opponent.sensors
        mean, std = self.statistics.mean.float(), self.statistics.std.float()
        spread = self.networks.log_std.exp()
        steps: list[_Step] = []
        for noise in torch.randn(settings.horizon, settings.rows, len(spread), generator=chance.torch):
            obs = rows.obs
            z = normalised(obs[:, :sensors], mean, std)
            decision = self.networks.mean(z) + spread * noise
            shown = self._show(self.opponent.target, obs, decision, self.opponent.threat, chance.noise)
            moved = rows.step(shown, chance.numpy)
            steps.append(_Step(obs=obs[:, :sensors], z=z, decision=decision, moved=moved))
        after = normalised(rows.obs[:, :sensors], mean, std)
        samples = self._samples(steps, after)
        self.statistics.add(torch.cat([step.obs for step in steps]))
        return samples

    def _samples(self, steps: "list[_Step]", after: Tensor) -> ppo.Samples:
        settings, networks = self.settings, self.networks
        z, decision = (torch.cat([getattr(step, name) for step in steps]) for name in ("z", "decision"))
        reward = self._scaled([step.moved for step in steps])
        value = networks.judged(torch.cat([z, after])).view(len(steps) + 1, -1)
        advantage = ppo.advantages(
            reward,
            value[:-1],
            self._follows(steps, value[1:].clone()),
            torch.from_numpy(np.stack([step.moved.ended for step in steps])).float(),
            settings.gamma,
            settings.gae_lambda,
        )
        return ppo.Samples(
            obs=z,
            decision=decision,
            log_prob=ppo.log_prob(networks.mean(z), networks.log_std, decision),
            advantage=((advantage - advantage.mean()) / (advantage.std() + 1e-8)).flatten(),
            value_target=(advantage + value[:-1]).flatten(),
        )

    def _follows(self, steps: "list[_Step]", value: Tensor) -> Tensor:
        """The values (T, N) of what followed: of the next step; 0 after a fall; where cut, of the episode's own end."""
        mean, std = self.statistics.mean.float(), self.statistics.std.float()
        for t, moved in enumerate(step.moved for step in steps):
            if moved.ended.any():
                last = normalised(moved.last[moved.ended, : self.opponent.sensors], mean, std)
                lasting = torch.from_numpy(~moved.terminal[moved.ended]).float()
                value[t, moved.ended] = self.networks.judged(last) * lasting
        return value

    def _scaled(self, moves: list[Moved]) -> Tensor:
        """−r (T, N) by the spread of its discounted sums so far."""
        sums = []
        for moved in moves:
            self._discounted = self._discounted * self.settings.gamma - moved.reward
            sums.append(self._discounted)
            self._discounted = np.where(moved.ended, 0, self._discounted)
        self._returns.add(torch.from_numpy(np.concatenate(sums))[:, None])
        reward = torch.from_numpy(-np.stack([moved.reward for moved in moves]))
        return (reward / self._returns.std).clamp(-CLIP, CLIP).float()

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the run goes on, after an iteration."""
        return {
            "iteration": self.iteration,
            "networks": self.networks.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "statistics": self.statistics.state_dict(),
            "returns": self._returns.state_dict(),
            "discounted": torch.from_numpy(self._discounted.copy()),
            "rows": self._rows.state_dict(),
            "curve": self.curve,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a stored run up; its opponent, settings, steps and seed must be those of this one."""
        self.networks.load_state_dict(state["networks"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.statistics.load_state_dict(state["statistics"])
        self._returns.load_state_dict(state["returns"])
        self._discounted = state["discounted"].numpy().copy()
        self._rows.load_state_dict(state["rows"])
        self.iteration, self.curve = int(state["iteration"]), list(state["curve"])

    def close(self) -> None:
        """Give the simulator back."""
        self._simulator.close()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Step:
    """One step of all rows: true obs (N, S), the same normalised, the decisions (N, D), and what came of them."""

    obs: Tensor
    z: Tensor
    decision: Tensor
    moved: Moved


class _Chance:
    """All that is random in one iteration: torch's, NumPy's and the attack's noise."""

    def __init__(self, seed: int, iteration: int, rows: int) -> None:
        streams = np.random.SeedSequence((seed, iteration)).spawn(2 + rows)
        self.torch = torch.Generator().manual_seed(int(streams[0].generate_state(1, np.uint64)[0] >> 1))
        self.numpy = np.random.default_rng(streams[1])
        self._rows = streams[2:]

    @cached_property
    def noise(self) -> Noise:
        """The attack's, of which not every method asks anything."""
        return Noise([np.random.default_rng(stream) for stream in self._rows])


def untouched(task: Task, rows: int) -> RestartingSimulator:
    """So many rows of the task as it is."""
    return make_simulator(task, [nominal_model(task)] * rows)
