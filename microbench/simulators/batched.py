"""Many episodes in lock step, on `mujoco.batch` where it can compute them, bit-equal to Gymnasium."""

from collections.abc import Sequence

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import MjModel
from mujoco.batch import Batch

from microbench.errors import UserError
from microbench.simulators.models import UNSTABLE, without_islands
from microbench.simulators.row_by_row import RowByRow
from microbench.simulators.snapshot import Snapshot, read, write
from microbench.tasks import Task
from microbench.tasks.environment import warnings_counted_only
from microbench.tasks.physics import Actions, Bools, Floats, Physics, State


class BatchedSimulator:
    """Simulates one episode per model in lock step; rows that share a model object share its memory.

    For equal seeds and float32 actions, observations, rewards and ends equal the Gymnasium environment's bit for bit.
    That holds for any number of rows and threads (tests/microbench/simulators/test_simulators.py).
    """

    def __init__(self, task: Task, models: Sequence[MjModel], nthread: int = 1) -> None:
        if task.physics is None:
            raise UserError(f"'{task.env_id}' has no exact physics record: simulate it with GymnasiumSimulator.")
        if not models:
            raise UserError("a simulator needs at least one row: pass one model per row.")
        self.task, self.n = task, len(models)
        self._models, self._nthread = models, nthread
        self._physics = task.physics
        originals = {id(model): model for model in models}  # each is copied once, however many rows share it
        distinct = {key: without_islands(model) for key, model in originals.items()}
        self._batch = _batch([distinct[id(model)] for model in models], task.physics, nthread)
        self._qpos, self._qvel, self._ctrl = (self._batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._wrench = self._batch.bind("xfrc_applied")
        self._derived = {name: self._batch.bind(name) for name in task.physics.derived}
        self._constants = {
            name: np.stack([getattr(model, name) for model in models]) for name in task.physics.constants
        }
        self._qpos0 = np.stack([model.qpos0 for model in models])  # (n, nq)
        self._dt = np.array([model.opt.timestep * task.physics.frame_skip for model in models])  # (n,)
        self._position = np.zeros(self.n)
        self._elapsed = np.zeros(self.n, dtype=np.int64)
        low, high = models[0].actuator_ctrlrange.astype(np.float32).T
        self.action_low: npt.NDArray[np.float32] = low
        self.action_high: npt.NDArray[np.float32] = high

    def reset(self, seeds: Sequence[int]) -> Floats:
        """Start an episode in every row, each from its own seed; returns obs (n, S)."""
        return self.restart(np.arange(self.n), seeds)

    def restart(self, ids: npt.NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        """Start a new episode in rows `ids` (b,), sorted and unique, as `reset` does; returns obs (b, S)."""
        if len(seeds) != len(ids):
            raise UserError(f"{len(seeds)} seeds for {len(ids)} rows: pass one seed per row.")
        nq, nv = self._qpos.shape[1], self._qvel.shape[1]
        rngs = [np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed))) for seed in seeds]
        noise = [self._physics.reset_noise(rng, nq, nv) for rng in rngs]
        self._batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self._qpos[ids] = self._qpos0[ids] + np.stack([qpos for qpos, _ in noise])
        self._qvel[ids] = np.stack([qvel for _, qvel in noise])
        if self._derived:
            self._batch.forward(ids)
        self._elapsed[ids] = 0
        state = self._state(ids)
        self._position[ids] = self._physics.position(state)
        return self._physics.observe(state)

    def step(
        self, action: Actions, ids: npt.NDArray[np.int64], wrench: Floats | None = None
    ) -> tuple[Floats, Floats, Bools, Bools]:
        """Move the living rows `ids` (b,), sorted and unique, by `action` (b, A) float32, which is not clipped.

        `wrench` (b, nbody, 6) is MuJoCo's `xfrc_applied` for this one step: force (N) and torque (N m).
        Returns obs (b, S), reward (b,), terminated (b,) and truncated (b,).
        """
        action = np.ascontiguousarray(action)
        self._ctrl[ids] = action
        if wrench is not None:
            self._wrench[ids] = wrench
        with warnings_counted_only():
            self._batch.step(ids, self._physics.frame_skip)
        if wrench is not None:
            self._wrench[ids] = 0.0
        state = self._state(ids)
        position = self._physics.position(state)
        velocity = (position - self._position[ids]) / self._dt[ids]
        self._position[ids] = position
        self._elapsed[ids] += 1
        fallen = self._physics.fallen(state)
        reward = self._physics.reward(velocity, action, fallen, state)
        return self._physics.observe(state), reward, fallen, self._elapsed[ids] >= self.task.horizon

    def copies(self, n: int) -> "BatchedSimulator":
        """A simulator with `n` rows per row of this one: row i·n + c has the model of row i and waits for `restore`."""
        return BatchedSimulator(self.task, [model for model in self._models for _ in range(n)], self._nthread)

    def snapshot(self, ids: npt.NDArray[np.int64]) -> Snapshot:
        """The complete simulation state of the rows `ids` (b,)."""
        state, warnings = read(self._batch, ids)
        return Snapshot(state=state, warnings=warnings, position=self._position[ids], elapsed=self._elapsed[ids])

    def restore(self, ids: npt.NDArray[np.int64], snapshot: Snapshot) -> None:
        """Put the rows `ids` (b,) into the snapshot's states; it may be of another simulator with the same models.

        Under the same actions they go on exactly as the rows of the snapshot did, bit for bit.
        """
        write(self._batch, ids, snapshot.state, snapshot.warnings)
        self._position[ids], self._elapsed[ids] = snapshot.position, snapshot.elapsed

    @property
    def unstable(self) -> Bools:
        """Rows (n,) in which MuJoCo met a bad position, velocity or acceleration and reset itself."""
        counts: npt.NDArray[np.int64] = self._batch.warning[:, UNSTABLE, 1]
        return np.asarray((counts > 0).any(axis=1))

    @property
    def dt(self) -> Floats:
        """The time between two actions, (n,) in seconds."""
        return self._dt

    @property
    def positions(self) -> Floats:
        """MuJoCo's `qpos` of every row now, (n, nq)."""
        return self._qpos.copy()

    def close(self) -> None:
        """Do nothing: the memory is freed with the object."""

    def _state(self, ids: npt.NDArray[np.int64]) -> State:
        derived = {name: values[ids] for name, values in (self._derived | self._constants).items()}
        return State(qpos=self._qpos[ids], qvel=self._qvel[ids], derived=derived)


def _batch(models: Sequence[MjModel], physics: Physics, nthread: int) -> Batch | RowByRow:
    if "cfrc_ext" in physics.derived:
        return RowByRow(models, nthread)
    batch = Batch(models[0], len(models), nthread)
    if any(model is not models[0] for model in models):
        batch.set_models(models)
    return batch
