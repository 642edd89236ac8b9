"""Run many episodes of a task at once: the contract, and the choice between the two simulators."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from mujoco import MjModel

from microbench.simulators.batched import BatchedSimulator
from microbench.simulators.fallback import GymnasiumSimulator
from microbench.simulators.models import nominal_model
from microbench.tasks import Task
from microbench.tasks.physics import Actions, Bools, Floats

__all__ = [
    "BatchedSimulator",
    "GymnasiumSimulator",
    "RestartingSimulator",
    "Simulator",
    "make_simulator",
    "nominal_model",
]


class Simulator(Protocol):
    """`n` rows, each an episode of `task` on its own model; finished rows are simply no longer stepped.

    Actions are not clipped: Gymnasium's MuJoCo tasks do not clip them either, so the caller cuts them to
    [`action_low`, `action_high`], (A,) float32.
    """

    task: Task
    n: int
    action_low: npt.NDArray[np.float32]
    action_high: npt.NDArray[np.float32]

    def reset(self, seeds: Sequence[int]) -> Floats:
        """Start an episode in every row from its own seed; returns obs (n, S)."""
        ...

    def step(
        self, action: Actions, ids: npt.NDArray[np.int64], wrench: Floats | None = None
    ) -> tuple[Floats, Floats, Bools, Bools]:
        """Move rows `ids` (b,), sorted and unique, by `action` (b, A) float32.

        `wrench` (b, nbody, 6) pushes every body throughout this one step: a force (N) on its centre of mass and
        a torque (N m), in the world's frame (MuJoCo's `xfrc_applied`).
        Returns obs (b, S), reward (b,), terminated (b,) and truncated (b,).
        """
        ...

    @property
    def unstable(self) -> Bools:
        """Rows (n,) in which MuJoCo met a bad position, velocity or acceleration and reset itself."""
        ...

    @property
    def dt(self) -> Floats:
        """The time between two actions, (n,) in seconds."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class RestartingSimulator(Simulator, Protocol):
    """One whose rows can start anew while the others run on."""

    def restart(self, ids: npt.NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        """Start an episode in rows `ids` (b,), sorted and unique, bit for bit as `reset` does; returns obs (b, S)."""
        ...


def make_simulator(task: Task, models: Sequence[MjModel], nthread: int = 1) -> RestartingSimulator:
    """One row per model: the batched simulator where the task has an exact physics record, else Gymnasium.

    `nthread` threads share the physics of the batched simulator; Gymnasium has one.
    """
    if task.physics is not None:
        return BatchedSimulator(task, models, nthread)
    return GymnasiumSimulator(task, models)
