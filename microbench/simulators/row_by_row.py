"""One MjData per row, stepped by MuJoCo's own functions, for contact forces that `mujoco.batch` does not compute."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import MjData, MjModel

from microbench.tasks.physics import Floats

_STATE = mujoco.mjtState.mjSTATE_INTEGRATION
_INPUTS = ("qpos", "qvel", "ctrl", "xfrc_applied")


class RowByRow:
    """A stand-in for `mujoco.batch.Batch` that calls `mj_rnePostConstraint` after every step.

    Gymnasium calls that function after `mj_step`. It fills `cfrc_ext` from the contacts that the last substep left
    in the MjData; a batch keeps them in C, out of reach of Python. Only methods that `BatchedSimulator` uses exist.
    """

    def __init__(self, models: Sequence[MjModel], nthread: int = 1) -> None:
        self._models = models
        self._data = [MjData(model) for model in models]
        self._inputs: list[list[tuple[Floats, Floats]]] = [[] for _ in models]
        self._outputs: list[list[tuple[Floats, Floats]]] = [[] for _ in models]
        self._map: Any = map if nthread == 1 else ThreadPoolExecutor(nthread or None).map

    def bind(self, name: str) -> Floats:
        """A float field of all rows, (n, …), updated after every call; changes to an input take effect in the next."""
        fields: list[Floats] = [getattr(data, name) for data in self._data]
        rows = np.stack(fields)
        for i, field in enumerate(fields):
            self._outputs[i].append((rows[i], field))
            if name in _INPUTS:
                self._inputs[i].append((field, rows[i]))
        return rows

    def reset(self, ids: npt.NDArray[np.int64], stage: int = 0) -> None:
        """Put the rows `ids` to their models' defaults and compute nothing (`stage` 0)."""
        self._call(mujoco.mj_resetData, ids.tolist())

    def forward(self, ids: npt.NDArray[np.int64]) -> None:
        """Call `mj_forward` in the rows `ids`; contact forces stay those of the last step, or 0 after a reset."""
        self._call(mujoco.mj_forward, ids.tolist())

    def step(self, ids: npt.NDArray[np.int64], nstep: int) -> None:
        """Make `nstep` physics steps in the rows `ids`, then compute their contact forces."""
        self._call(partial(_step, nstep=nstep), ids.tolist())

    @property
    def warning(self) -> npt.NDArray[np.int64]:
        """MuJoCo's counters since the reset, (n, kinds, 2): the last information, the number of warnings."""
        return np.array([[*zip(data.warning.lastinfo, data.warning.number, strict=True)] for data in self._data])

    def read(self, ids: npt.NDArray[np.int64]) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Copies of MuJoCo's mjSTATE_INTEGRATION (b, size) and of the warnings (b, kinds, 2) of the rows `ids`."""
        states = np.empty((len(ids), mujoco.mj_stateSize(self._models[0], _STATE)))
        for state, i in zip(states, ids.tolist(), strict=True):
            mujoco.mj_getState(self._models[i], self._data[i], state, _STATE)
        return states, self.warning[ids]

    def write(self, ids: npt.NDArray[np.int64], states: Floats, warnings: npt.NDArray[np.int64]) -> None:
        """Put the rows `ids` into these states."""
        for i, state, counts in zip(ids.tolist(), states, warnings, strict=True):
            data = self._data[i]
            mujoco.mj_setState(self._models[i], data, state, _STATE)
            data.warning.lastinfo[:], data.warning.number[:] = counts.T
            for row, field in self._outputs[i]:
                np.copyto(row, field)

    def _call(self, function: Callable[[MjModel, MjData], None], ids: Iterable[int]) -> None:
        for _ in self._map(partial(self._call_one, function), ids):
            pass

    def _call_one(self, function: Callable[[MjModel, MjData], None], i: int) -> None:
        for field, row in self._inputs[i]:
            np.copyto(field, row)
        function(self._models[i], self._data[i])
        for row, field in self._outputs[i]:
            np.copyto(row, field)


def _step(model: MjModel, data: MjData, nstep: int) -> None:
    mujoco.mj_step(model, data, nstep=nstep)
    mujoco.mj_rnePostConstraint(model, data)
