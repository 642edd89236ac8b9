"""The training loop of model-based offline actor-critic: algorithm 1 of MICRO, arXiv:2312.03991.

The differences between algorithms are in microbench.learning.algorithms.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from microbench.data.dataset import Dataset, Transitions, as_transitions
from microbench.errors import UserError
from microbench.learning.agent import METRICS, Agent, make_agent
from microbench.learning.algorithms.base import Algorithm, Batch
from microbench.learning.algorithms.ensemble import member_values
from microbench.learning.captured import Launch, MakeGraphs, Step, launching
from microbench.learning.config import TrainConfig
from microbench.learning.dynamics import DynamicsEnsemble, Elites
from microbench.learning.dynamics_fit import DynamicsFit, FitEpoch
from microbench.learning.rollout import Imagination
from microbench.tasks import Task

LogRow = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Updates:
    """An event: `done` updates have been made."""

    done: int


@dataclass(frozen=True, kw_only=True)
class EpochEnd:
    """An event: an epoch is over. `row` is its line of the log, with `score` if the policy was evaluated."""

    epoch: int
    row: LogRow


Event = FitEpoch | Updates | EpochEnd
Listener = Callable[[Event], None]
# (agent, number of episodes) → mean return and mean normalized score of the deterministic policy
Evaluate = Callable[[Agent, int], tuple[float, float]]


class Training:
    """A training run between two of its epochs; `state_dict` is enough to continue it in another process."""

    def __init__(
        self,
        dataset: Dataset,
        task: Task,
        algorithm: Algorithm,
        config: TrainConfig,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.config, self.device = config, device
        self.logged = as_transitions(dataset, device)
        sizes = (self.logged.obs.shape[1], self.logged.action.shape[1])
        streams = np.random.SeedSequence(seed).generate_state(4).tolist()
        start = torch.Generator().manual_seed(streams[0])  # weights are drawn on the CPU: the same on every device
        model = DynamicsEnsemble(*sizes, config.dynamics_hidden, members=config.members, generator=start)
        self.model = model.to(device)
        self.fit = DynamicsFit(self.model, self.logged, config.dynamics, _generator(streams[1], device))
        self.agent = make_agent(*sizes, config, algorithm, seed=streams[2], device=device)
        self.imagination = Imagination(
            self.model,
            self.logged,
            batch=config.rollout_batch,
            length=config.rollout_length,
            retain=config.retain,
            terminal=task.imagined_terminal,
            generator=_generator(streams[3], device),
        )
        self.epoch = 0
        self.elites: Elites | None = None  # known once the dynamics are fitted
        self.log: list[LogRow] = []

    def state_dict(self) -> dict[str, Any]:
        """The state of the run; until the dynamics are fitted, the state of their fit alone."""
        if not self.fitted:
            return {"fit": self.fit.state_dict()}
        return {
            "model": self.model.state_dict(),
            "agent": self.agent.state_dict(),
            "imagination": self.imagination.state_dict(),
            "epoch": self.epoch,
            "log": self.log,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        if "fit" in state:
            self.fit.load_state_dict(state["fit"])
            return
        self.model.elites = torch.empty_like(state["model"]["elites"])  # their number is only known after the fit
        self.model.load_state_dict(state["model"])
        self.agent.load_state_dict(state["agent"])
        self.imagination.load_state_dict(state["imagination"], self.agent.actor)
        self.epoch, self.log, self.elites = state["epoch"], state["log"], Elites(self.model)

    def run(self, evaluate: Evaluate, listen: Listener, graphs: MakeGraphs | None = None) -> Iterator[None]:
        """Fit the dynamics, then train; yields whenever the run may be stored. With `graphs`, updates are captured.

        Raises:
            UserError: the dynamics fit or an update diverges, or an update cannot be captured.

        """
        yield from self.fit_dynamics(listen)
        launch = launching(self.agent, graphs)
        while not self.over:
            (totals,) = one_epoch([self], self.update, launch, listen)
            self.end_epoch(totals, evaluate, listen)
            yield

    def fit_dynamics(self, listen: Listener) -> Iterator[None]:
        """Fit the dynamics unless that is done; yields whenever the run may be stored."""
        while not self.fitted and not self.fit.over:
            listen(self.fit.epoch())
            yield
        if not self.fitted:
            self.finish_fit()
            yield

    def finish_fit(self) -> None:
        """End the fit of the dynamics: take every member's best weights so far, and choose the elites."""
        self.fit.finish()
        self.elites = Elites(self.model)

    @property
    def fitted(self) -> bool:
        """Whether the dynamics are fitted."""
        return self.elites is not None

    @property
    def over(self) -> bool:
        """Whether every epoch has been trained."""
        return self.epoch >= self.config.epochs

    def updates(self) -> range:
        """Set the actor's learning rate for the next epoch; returns the numbers of its updates."""
        self._cool_actor()
        first = self.epoch * self.config.updates_per_epoch
        return range(first, first + self.config.updates_per_epoch)

    def imagine(self, update: int) -> bool:
        """Make a rollout before this update if one is due; returns whether there was one."""
        due = update % self.config.rollout_every == 0
        if due:
            self.imagination.imagine(self.agent.actor)
        return due

    def update(self) -> Tensor:
        """Draw a batch and learn from it; returns METRICS as (6,)."""
        return self.agent.update(self.batch(), self.member_values)

    def batch(self) -> Batch:
        """A freshly drawn batch for one update, logged rows first."""
        real, generator = self.config.real_rows, self.agent.generator
        assert self.imagination.rows is not None
        parts = [
            self.logged.sample(real, generator),
            self.imagination.rows.sample(self.config.batch - real, generator),
        ]
        return Batch(rows=Transitions.cat(parts), real=real)

    def end_epoch(self, totals: Tensor, evaluate: Evaluate, listen: Listener) -> None:
        """Add an epoch's line to the log and evaluate if due; `totals` (6,) are the METRICS summed over its updates."""
        means = (totals / self.config.updates_per_epoch).tolist()
        row = self._row(dict(zip(METRICS, means, strict=True)))
        self.epoch += 1
        if self.epoch % self.config.evaluate_every == 0 or self.over:
            row["return"], row["score"] = evaluate(self.agent, self.config.evaluation_episodes)
        self.log.append(row)
        listen(EpochEnd(epoch=self.epoch, row=row))

    def member_values(self, obs: Tensor, action: Tensor) -> Tensor:
        """V_i(s, a) by the configured estimator: (B, S), (B, A) → (E, B)."""
        assert self.elites is not None
        return member_values(
            self.elites,
            self.agent.pessimistic_value,
            obs,
            action,
            samples=self.config.samples,
            paired=self.config.gap_estimator == "paired",
            generator=self.agent.generator,
        )

    def _row(self, metrics: LogRow) -> LogRow:
        if not all(math.isfinite(value) for value in metrics.values()):
            values = ", ".join(f"{name} {value:.3g}" for name, value in metrics.items())
            raise UserError(f"training diverged in epoch {self.epoch + 1} ({values}); lower the learning rates.")
        assert self.imagination.rows is not None
        imagined = {
            "imagined_rows": len(self.imagination.rows),
            "imagined_reward": float(self.imagination.rows.reward.mean()),
        }
        updates = (self.epoch + 1) * self.config.updates_per_epoch
        return {"epoch": self.epoch + 1, "updates": updates} | metrics | imagined

    def _cool_actor(self) -> None:
        """Set the actor's learning rate by its cosine decay to 0 over the epochs."""
        if self.config.cosine:
            share = self.epoch / self.config.epochs
            for group in self.agent.actor_optimiser.param_groups:
                group["lr"] = self.config.actor_lr * 0.5 * (1 + math.cos(math.pi * share))


def one_epoch(runs: Sequence[Training], step: Step, launch: Launch, listen: Listener) -> Tensor:
    """Train one epoch of runs that make every update together, by `step`; returns summed METRICS (runs, 6).

    The step is captured again at every epoch (new learning rate) and after every rollout (new buffer).
    """
    totals = torch.zeros(len(runs), len(METRICS), device=runs[0].device)
    launched = launch(step)
    for updates in zip(*(run.updates() for run in runs), strict=True):
        imagined = [run.imagine(update) for run, update in zip(runs, updates, strict=True)]
        if any(imagined):
            launched = launch(step)
        totals += launched()
        if updates[0] % 50 == 49:
            listen(Updates(done=updates[0] + 1))
    return totals


def _generator(seed: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)
