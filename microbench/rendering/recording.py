"""Recordings of evaluated episodes: a video shows the episode that was measured, not a repetition of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from mujoco import MjModel

from microbench.checkpoints import Checkpoint
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.perturbed import world
from microbench.evaluation.plan import Cell, Episode
from microbench.simulators.contract import BatchedSimulator, GymnasiumSimulator, Simulator
from microbench.tasks import find_task
from microbench.tasks.physics import Actions, Bools, Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """One recorded episode of T steps.

    row        its row of results
    positions  MuJoCo's qpos, before the first step and after each, (T + 1, nq)
    returns    sum of the rewards up to then, (T + 1,); the last is the row's return, bit for bit
    dt         the time between two actions, in seconds
    model      the MjModel it ran on
    """

    row: pd.Series
    positions: Floats
    returns: Floats
    dt: float
    model: MjModel

    @property
    def length(self) -> int:
        """The number of steps."""
        return len(self.returns) - 1


def record(checkpoint: Checkpoint, conditions: Conditions, cell: Cell, seed: int) -> Recording:
    """Evaluate one episode and record its positions and rewards.

    Raises:
        UserError: the task does not run on MuJoCo.
        ValueError: as `evaluate_chunk`.
    """
    recorders: list[_Recorder] = []

    def watched(simulator: Simulator) -> Simulator:
        recorders.append(_Recorder(simulator))
        return recorders[0]

    rows = evaluate_chunk(checkpoint, conditions, (Episode(cell=cell, number=0, seed=seed),), watched)
    (recorder,) = recorders
    row = rows.iloc[0]
    returns = np.cumsum([0.0, *recorder.rewards])  # one addition after the other, as the evaluator adds
    assert returns[-1] == row["return"], "the recording is not of the episode that was measured"
    return Recording(
        row=row,
        positions=np.concatenate(recorder.positions),
        returns=returns,
        dt=float(recorder.dt[0]),
        model=world(find_task(conditions.env_id), cell.perturbation, cell.factor).model,
    )


class _Recorder:
    """A simulator of one row that keeps the positions and rewards of its episode."""

    def __init__(self, simulator: Simulator) -> None:
        assert isinstance(simulator, (BatchedSimulator, GymnasiumSimulator))
        self._simulator = simulator
        self.task, self.n = simulator.task, simulator.n
        self.action_low, self.action_high = simulator.action_low, simulator.action_high
        self.positions: list[Floats] = []
        self.rewards: list[float] = []

    def reset(self, seeds: Sequence[int]) -> Floats:
        obs = self._simulator.reset(seeds)
        self.positions = [self._simulator.positions]
        return obs

    def step(
        self, action: Actions, ids: npt.NDArray[np.int64], wrench: Floats | None = None
    ) -> tuple[Floats, Floats, Bools, Bools]:
        moved = self._simulator.step(action, ids, wrench)
        reward = float(moved[1][0])
        self.positions.append(self._simulator.positions)
        self.rewards.append(reward if np.isfinite(reward) else 0.0)
        return moved

    @property
    def unstable(self) -> Bools:
        return self._simulator.unstable

    @property
    def dt(self) -> Floats:
        return self._simulator.dt

    def close(self) -> None:
        self._simulator.close()
