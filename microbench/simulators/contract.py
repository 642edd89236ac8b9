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

        `wrench` (b, nbody, 6) is MuJoCo's `xfrc_applied` for this one step. It acts on every body with a force (N) on
        its centre of mass and a torque (N m), both in the world's frame.
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
        """Free everything that the simulator holds."""
        ...


class RestartingSimulator(Simulator, Protocol):
    """A simulator that can restart some rows while the others run on."""

    def restart(self, ids: npt.NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        """Start an episode in rows `ids` (b,), sorted and unique, bit for bit as `reset` does; returns obs (b, S)."""
        ...


def make_simulator(task: Task, models: Sequence[MjModel], nthread: int = 1) -> RestartingSimulator:
    """A simulator with one row per model: the batched one where the task has exact physics, else Gymnasium.

    The batched simulator computes its physics in `nthread` threads, Gymnasium in one.
    """
    if task.physics is not None:
        return BatchedSimulator(task, models, nthread)
    return GymnasiumSimulator(task, models)
