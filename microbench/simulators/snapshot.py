"""Snapshots of rows of a batched simulation, from which they or copies of them can go on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from mujoco.batch import Batch

from microbench.simulators.row_by_row import RowByRow
from microbench.tasks.physics import Floats

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """The complete simulation state of b rows.

    state     MuJoCo's mjSTATE_INTEGRATION, (b, size), with the accelerations that warm-start the solver
    warnings  MuJoCo's counters since the reset, (b, kinds, 2)
    position  the coordinate from which the next forward velocity is measured, (b,)
    elapsed   steps of the episode, (b,)
    """

    state: Floats
    warnings: npt.NDArray[np.int64]
    position: Floats
    elapsed: Ids

    def repeated(self, n: int) -> "Snapshot":
        """Every row `n` times in a row: (b·n, …)."""
        return Snapshot(
            state=self.state.repeat(n, axis=0),
            warnings=self.warnings.repeat(n, axis=0),
            position=self.position.repeat(n),
            elapsed=self.elapsed.repeat(n),
        )


def read(batch: Batch | RowByRow, ids: Ids) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Copies of the states (b, size) and warnings (b, kinds, 2) of the rows `ids`."""
    if isinstance(batch, RowByRow):
        return batch.read(ids)
    return batch.state[ids], batch.warning[ids]


def write(batch: Batch | RowByRow, ids: Ids, state: Floats, warnings: npt.NDArray[np.int64]) -> None:
    """Put the rows `ids` into these states."""
    if isinstance(batch, RowByRow):
        batch.write(ids, state, warnings)
    else:
        batch.state[ids], batch.warning[ids] = state, warnings
