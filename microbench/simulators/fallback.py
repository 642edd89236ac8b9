"""Gymnasium itself, one environment per row stepped in turn: for every task that has no exact physics record."""

import copy
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from mujoco import MjData, MjModel

from microbench.errors import UserError
from microbench.simulators.models import UNSTABLE
from microbench.tasks import Task
from microbench.tasks.environment import make_env, warnings_counted_only
from microbench.tasks.physics import Actions, Bools, Floats


class GymnasiumSimulator:
    """One Gymnasium environment per row; a row's model replaces the environment's own.

    Args:
        task: any task that Gymnasium can make.
        models: one per row, or None for `n` rows of the unchanged environment.
        n: the number of rows; not needed beside `models`.

    Raises:
        UserError: there are no rows, or there are models for an environment that does not run on MuJoCo.
    """

    def __init__(self, task: Task, models: Sequence[MjModel] | None = None, n: int | None = None) -> None:
        rows = n if models is None else len(models)
        if not rows or n not in (None, rows):
            raise UserError(f"{n} rows for {len(models or [])} models: pass one model per row, or n alone.")
        self.task, self.n = task, rows
        self._envs = [make_env(task.env_id, task.horizon) for _ in range(rows)]
        self._data = [_data(env) for env in self._envs]
        if models is not None:
            pairs = zip(self._envs, models, strict=True)
            self._data = [replace_model(env, model) for env, model in pairs]
        self._proved = models is None
        space = self._envs[0].action_space
        assert isinstance(space, gymnasium.spaces.Box)
        self.action_low: npt.NDArray[np.float32] = space.low.astype(np.float32)
        self.action_high: npt.NDArray[np.float32] = space.high.astype(np.float32)

    def reset(self, seeds: Sequence[int]) -> Floats:
        """Start an episode in every row, each from its own seed; returns obs (n, S)."""
        return self.restart(np.arange(self.n), seeds)

    def restart(self, ids: npt.NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        """Start a new episode in rows `ids` (b,), sorted and unique, as `reset` does; returns obs (b, S)."""
        if len(seeds) != len(ids):
            raise UserError(f"{len(seeds)} seeds for {len(ids)} rows: pass one seed per row.")
        obs = [self._envs[i].reset(seed=int(seed))[0] for i, seed in zip(ids, seeds, strict=True)]
        return np.stack(obs).astype(np.float64)

    def step(
        self, action: Actions, ids: npt.NDArray[np.int64], wrench: Floats | None = None
    ) -> tuple[Floats, Floats, Bools, Bools]:
        """Move the living rows `ids` (b,), sorted and unique, by `action` (b, A) float32, which is not clipped.

        `wrench` (b, nbody, 6) is MuJoCo's `xfrc_applied` for this one step: force (N) and torque (N m).
        Returns obs (b, S), reward (b,), terminated (b,) and truncated (b,).

        Raises:
            UserError: there is a wrench, and the environment does not run on MuJoCo.
        """
        if wrench is not None:
            self._push(wrench, ids)
        with warnings_counted_only():
            moves = [self._envs[i].step(row)[:4] for i, row in zip(ids, action, strict=True)]
        if wrench is not None:
            self._push(np.zeros_like(wrench), ids)
        if not self._proved:
            self._prove(ids)
        obs, reward, terminated, truncated = zip(*moves, strict=True)
        return (
            np.stack(obs).astype(np.float64),
            np.array(reward, dtype=np.float64),
            np.array(terminated, dtype=np.bool_),
            np.array(truncated, dtype=np.bool_),
        )

    @property
    def unstable(self) -> Bools:
        """Rows (n,) in which MuJoCo met a bad position, velocity or acceleration and reset itself."""
        return np.array([data is not None and _reset_itself(data) for data in self._data], dtype=np.bool_)

    @property
    def dt(self) -> Floats:
        """The time between two actions, (n,) in seconds; NaN for an environment that does not run on MuJoCo."""
        return np.array([getattr(mujoco_part(env), "dt", np.nan) for env in self._envs], dtype=np.float64)

    @property
    def positions(self) -> Floats:
        """MuJoCo's `qpos` of every row now, (n, nq); raises UserError if the task does not run on MuJoCo."""
        if any(data is None for data in self._data):
            raise UserError(f"'{self.task.env_id}' does not run on MuJoCo: there are no positions to show.")
        return np.stack([data.qpos.copy() for data in self._data])

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()

    def _push(self, wrench: Floats, ids: npt.NDArray[np.int64]) -> None:
        for i, row in zip(ids, wrench, strict=True):
            if self._data[i] is None:
                raise UserError(f"'{self.task.env_id}' does not run on MuJoCo: no force can push its bodies.")
            self._data[i].xfrc_applied[:] = row

    def _prove(self, ids: npt.NDArray[np.int64]) -> None:
        """Raise UserError unless the first step advanced our MjData: else the environment steps another model."""
        stuck = [int(i) for i in ids if not self._data[i].time > 0]
        if stuck:
            raise UserError(
                f"'{self.task.env_id}' does not step the model it was given (rows {stuck}): "
                "its physics cannot be perturbed from outside."
            )
        self._proved = True


def mujoco_part(env: gymnasium.Env[Any, Any]) -> Any:
    """The object in an environment whose MjModel and MjData can be replaced; None if there is none.

    Mostly that is the environment itself. A maze of gymnasium-robotics keeps its robot's environment as a part; the
    maze itself only reads the robot's model and data.
    """
    inner = env.unwrapped
    parts = [part.unwrapped for part in vars(inner).values() if isinstance(part, gymnasium.Env)]
    return next((part for part in (inner, *parts) if _has_own_physics(part)), None)


def _has_own_physics(part: Any) -> bool:
    kinds = {"model": MjModel, "data": MjData}
    shown = all(isinstance(getattr(part, name, None), kind) for name, kind in kinds.items())
    return shown and not any(isinstance(getattr(type(part), name, None), property) for name in kinds)


def _data(env: gymnasium.Env[Any, Any]) -> Any:
    """The environment's MjData, or None."""
    part = mujoco_part(env)
    return None if part is None else part.data


def replace_model(env: gymnasium.Env[Any, Any], model: MjModel) -> Any:
    """Give the environment a copy of `model` (some tasks write into theirs) and fresh data; returns the data.

    Raises:
        UserError: the environment does not run on MuJoCo.
    """
    inner = mujoco_part(env)
    if inner is None:
        raise UserError(f"'{env.unwrapped}' does not run on MuJoCo: its physics cannot be perturbed.")
    inner.model = copy.deepcopy(model)
    inner.data = MjData(inner.model)
    inner.init_qpos = inner.data.qpos.copy()
    inner.init_qvel = inner.data.qvel.copy()
    renderer = getattr(inner, "mujoco_renderer", None)
    for drawn in (renderer, getattr(renderer, "viewer", None)):
        if drawn is not None:
            drawn.model, drawn.data = inner.model, inner.data
    return inner.data


def _reset_itself(data: Any) -> bool:
    return any(data.warning[kind].number > 0 for kind in UNSTABLE)
