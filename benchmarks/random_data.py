"""Logged transitions of a task's sizes, for benchmarks whose time does not depend on values."""

import numpy as np

from microbench.data.dataset import Dataset
from microbench.tasks import Task

SIZES = {"hopper": "Hopper-v4", "halfcheetah": "HalfCheetah-v4"}


def random_data(task: Task, rows: int) -> Dataset:
    """Standard normal transitions of the task's sizes; their values decide nothing about the time."""
    rng = np.random.default_rng(0)
    obs, next_obs = rng.standard_normal((2, rows, task.obs_size), dtype=np.float32)
    return Dataset(
        name="random",
        env_id=task.env_id,
        sha256="",
        obs=obs,
        action=rng.uniform(-1, 1, (rows, task.action_size)).astype(np.float32),
        reward=rng.standard_normal(rows, dtype=np.float32),
        next_obs=next_obs,
        terminal=np.zeros(rows, bool),
        timeout=np.zeros(rows, bool),
        episode_returns=np.zeros(0),
    )
