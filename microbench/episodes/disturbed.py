"""The disturbances of all rows of a simulation, between simulator and policy. B rows still running, S obs, A action."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from microbench.tasks.physics import Floats
from perturbations import Signals

Rows = TypeVar("Rows", bound=NDArray[Any])


class Disturbances:
    """The signals of every row, each the state of one episode; rows without signals cost nothing.

    `changed` (n,) marks rows in which a signal changed an observation or action, or applied a force.
    """

    def __init__(self, rows: Sequence[Sequence[Signals]]) -> None:
        self._rows = rows
        self._none = not any(rows)
        self.changed = np.zeros(len(rows), np.bool_)

    @property
    def is_empty(self) -> bool:
        """Whether no row has a signal."""
        return self._none

    def seen(self, obs: Floats, ids: NDArray[np.int64]) -> Floats:
        """The observations (B, S) that the sensors of rows `ids` (B,) report for the true obs (B, S)."""
        return self._passed(obs, ids, lambda signals, row: signals.seen(row))

    def executed(self, action: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The actions (B, A) that the actuators of rows `ids` (B,) execute for the policy's action (B, A)."""
        return self._passed(action, ids, lambda signals, row: signals.executed(row))

    def wrench(self, ids: NDArray[np.int64]) -> Floats | None:
        """Forces and torques on every body of rows `ids`, (B, nbody, 6); None if all are zero."""
        if self._none:
            return None
        pushes = [[push for signals in self._rows[i] if (push := signals.wrench()) is not None] for i in ids]
        shape = next((push.shape for own in pushes for push in own), None)
        if shape is None:
            return None
        wrench = np.stack([np.sum([np.zeros(shape), *own], axis=0) for own in pushes])
        self.changed[ids] |= wrench.any(axis=(1, 2))
        return wrench

    def _passed(self, values: Rows, ids: NDArray[np.int64], through: Callable[[Signals, Any], Any]) -> Rows:
        if self._none:
            return values
        after = values.copy()
        for place, row in enumerate(ids):
            for signals in self._rows[row]:
                after[place] = through(signals, after[place])
        self.changed[ids] |= (after != values).any(axis=1)  # NaN ends the row anyway
        return after
