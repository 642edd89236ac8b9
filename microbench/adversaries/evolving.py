"""The search for an adversary of few numbers: a whole episode of the victim per candidate, all of them at once.

Everything random in one iteration follows from (seed, number of the iteration), so that a search that goes on from a
stored iteration is the same search. The centre is judged on episodes that moved nothing (`seeds.ADVERSARY_CHOICE`), and
the strongest so far is kept: its return there is that of a choice, and too low by a little.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Noise, Target, Threat
from microbench.adversaries import evolution
from microbench.adversaries.evolved import Kind, Map
from microbench.adversaries.opponent import Opponent
from microbench.adversaries.outcome import Outcome
from microbench.adversaries.starts import starts
from microbench.adversaries.statistics import Running
from microbench.episodes.loop import ByRow, Episodes, run_episodes
from microbench.seeds import ADVERSARY, ADVERSARY_CHOICE
from microbench.simulators.contract import RestartingSimulator, make_simulator, nominal_model
from microbench.tasks import Task

CLEAN = 16
"""Clean episodes by which observations are normalised, and from whose states attacks are followed."""

_FIRST = 2  # iterations 0 and 1 of a seed are its clean episodes and the choice of states


@dataclass(eq=False)
class _Position:
    """Where a search is after an iteration: its map, its centre (P,), and the strongest so far."""

    map: Map
    centre: NDArray[np.float64]
    best: NDArray[np.float64]
    left: float  # the mean return that the best leaves in the episodes of the choice
    start: str  # where the centre began


class Evolution:
    """One search; `run` advances it by iterations, after each of which it may be stored.

    `steps` are environment steps, all told, and the iteration that reaches them is the last. `make(task, rows)` is the
    simulator, the untouched task if left out.
    """

    def __init__(
        self,
        opponent: Opponent,
        settings: evolution.Settings,
        *,
        kind: Kind,
        steps: int,
        seed: int,
        make: Callable[[Task, int], RestartingSimulator] | None = None,
    ) -> None:
        self.opponent, self.settings, self.seed, self.total = opponent, settings, seed, steps
        self._kind: Kind = kind
        self._make = make or untouched
        self._simulators: dict[int, RestartingSimulator] = {}  # by their number of rows
        self._position: _Position | None = None
        self.iteration, self.steps, self.episodes = 0, 0, 0
        self.curve: list[dict[str, float]] = []
        self._started, self._before = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        """Seconds so far, those before an interruption included."""
        return self._before + time.monotonic() - self._started

    @property
    def start(self) -> str:
        """Where the search began: at nothing, or at what an attack pushes."""
        return self._there.start

    def run(self) -> Iterator[dict[str, float]]:
        """Search to the end; yields the newest line of the curve after every iteration."""
        if self._position is None:
            self._begin()
            yield self.curve[-1]
        while self.steps < self.total:
            there, settings = self._there, self.settings
            rng = np.random.default_rng((self.seed, _FIRST + self.iteration))
            noise = rng.normal(size=(settings.directions, len(there.centre)))
            seeds = rng.integers(ADVERSARY.start, ADVERSARY.stop, settings.directions).tolist()
            tried = evolution.candidates(there.centre, noise, settings)
            returns = self._returns(there.map.decisions(tried), [*seeds, *seeds])
            there.centre = evolution.moved(there.centre, noise, returns, settings)
            self.iteration += 1
            judged = self.iteration % settings.judge_every == 0 or self.steps >= self.total
            centre = self._judge(there.centre) if judged else math.nan
            self._note(float(returns.mean()), centre)
            yield self.curve[-1]

    @property
    def _there(self) -> _Position:
        assert self._position is not None, "the search has not begun"
        return self._position

    def _begin(self) -> None:
        """Normalise by clean episodes and start from the strongest of the starts, or from nothing if none is."""
        opponent, sensors = self.opponent, self.opponent.sensors
        rng = np.random.default_rng((self.seed, 0))
        seen: list[Tensor] = []

        def watch(target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
            seen.append(obs)
            return obs

        clean = self._episodes(watch, rng.integers(ADVERSARY.start, ADVERSARY.stop, CLEAN).tolist()).returns
        states = torch.cat(seen) if seen else torch.zeros(0, sensors + len(opponent.target.start))
        running = Running(sensors)
        if len(states):
            running.add(states[:, :sensors])
        shape = Map(
            kind=self._kind,
            mean=running.mean.float(),
            std=running.std.float(),
            open=(opponent.threat.half_width[:sensors] > 0).numpy(),
        )
        nothing = np.zeros(shape.size)
        self._position = _Position(map=shape, centre=nothing, best=nothing, left=math.inf, start="nothing")
        for name, numbers in starts(opponent, shape, states, self.seed).items():
            before = self._position.left
            if self._judge(numbers) < before:
                self._position.centre, self._position.start = numbers, name
        self._note(float(clean.mean()), self._position.left)

    def _judge(self, centre: NDArray[np.float64]) -> float:
        """The mean return it leaves in the episodes of the choice; the strongest so far is kept."""
        there = self._there
        rows = np.repeat(centre[None], len(ADVERSARY_CHOICE), 0)
        left = float(self._returns(there.map.decisions(rows), ADVERSARY_CHOICE).mean())
        if left < there.left:
            there.left, there.best = left, centre
        return left

    def _returns(self, attack: ByRow, seeds: Sequence[int]) -> NDArray[np.float64]:
        return self._episodes(attack, seeds).returns

    def _episodes(self, attack: Any, seeds: Sequence[int]) -> Episodes:
        """One episode per seed; their steps and their number count as costs."""
        n = len(seeds)
        if n not in self._simulators:
            self._simulators[n] = self._make(self.opponent.task, n)
        came = run_episodes(self.opponent.target, self._simulators[n], seeds, attack, self.opponent.threat)
        self.steps += int(came.lengths.sum())
        self.episodes += n
        return came

    def _note(self, returned: float, centre: float) -> None:
        """Add a line to the curve; `return` is the mean of the iteration, clean in the first."""
        self.curve.append(
            {
                "steps": self.steps,
                "episodes": self.episodes,
                "return": returned,
                "centre": centre,
                "best": self._there.left,
                "seconds": round(self.seconds, 2),
            }
        )

    def outcome(self) -> Outcome:
        """The strongest map so far, as one layer."""
        there = self._there
        return Outcome(layers=(there.map.layer(there.best),), mean=there.map.mean, std=there.map.std)

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the search goes on, after an iteration."""
        there = self._there
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "episodes": self.episodes,
            "seconds": self.seconds,
            "mean": there.map.mean,
            "std": there.map.std,
            "open": torch.from_numpy(there.map.open),
            "centre": torch.from_numpy(there.centre.copy()),
            "best": torch.from_numpy(there.best.copy()),
            "left": there.left,
            "start": there.start,
            "curve": self.curve,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a stored search up; its opponent, settings, steps and seed must be those of this one."""
        shape = Map(kind=self._kind, mean=state["mean"], std=state["std"], open=state["open"].numpy())
        self._position = _Position(
            map=shape,
            centre=state["centre"].numpy().copy(),
            best=state["best"].numpy().copy(),
            left=float(state["left"]),
            start=str(state["start"]),
        )
        self.iteration, self.steps, self.episodes = (int(state[name]) for name in ("iteration", "steps", "episodes"))
        self.curve, self._before, self._started = list(state["curve"]), float(state["seconds"]), time.monotonic()

    def close(self) -> None:
        """Give the simulators back."""
        for simulator in self._simulators.values():
            simulator.close()


def untouched(task: Task, rows: int, nthread: int = 1) -> RestartingSimulator:
    """So many rows of the task as it is, whose physics `nthread` threads share."""
    return make_simulator(task, [nominal_model(task)] * rows, nthread)
