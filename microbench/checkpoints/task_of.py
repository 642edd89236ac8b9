"""The task of a policy, decided by its file, its sizes or the user's option, and never guessed."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import gymnasium
import torch
from torch import Tensor

from microbench.checkpoints.stored_policy import StoredPolicy
from microbench.errors import UserError
from microbench.simulators.models import nominal_model
from microbench.tasks import TASKS


def tasks_of(obs_size: int, action_size: int) -> list[str]:
    """The known tasks of these sizes; a -v4 task stands for its -v5 successor as well."""
    fitting = [task.env_id for task in TASKS.values() if (task.obs_size, task.action_size) == (obs_size, action_size)]
    robots = {robot_of(env_id) for env_id in fitting if env_id.endswith("-v4")}
    return [env_id for env_id in fitting if env_id.endswith("-v4") or robot_of(env_id) not in robots]


BY_SIZES = "by its sizes"  # begins the reason of a choice by sizes

OTHERS: Mapping[str, tuple[int, int]] = {
    "HumanoidStandup-v4": (376, 17),
    "HumanoidStandup-v5": (348, 17),
    "InvertedDoublePendulum-v4": (11, 1),
    "InvertedDoublePendulum-v5": (9, 1),
    "Pusher-v4": (23, 7),
    "Pusher-v5": (23, 7),
    "Reacher-v4": (11, 2),
    "Reacher-v5": (10, 2),
    "LunarLanderContinuous-v3": (8, 2),
    "BipedalWalker-v3": (24, 4),
    "BipedalWalkerHardcore-v3": (24, 4),
    "MountainCarContinuous-v0": (2, 1),
    "Pendulum-v1": (3, 1),
}
"""Gymnasium's tasks with continuous actions that have no record here, with their sizes."""


def sizes_of(env_id: str) -> tuple[int, int] | None:
    """Sizes of observation and action of a task; None for a task that is in no table."""
    task = TASKS.get(env_id)
    return OTHERS.get(env_id) if task is None else (task.obs_size, task.action_size)


def others_of(obs_size: int, action_size: int) -> list[str]:
    """Gymnasium's tasks of these sizes that have no record here."""
    return [env_id for env_id, sizes in OTHERS.items() if sizes == (obs_size, action_size)]


def named_tasks(path: Path) -> list[str]:
    """Gymnasium's robots in the file's name, else in its folder's name if a version follows there (rl_zoo3)."""
    robots = sorted({robot_of(env_id) for env_id in (*TASKS, *OTHERS, *gymnasium.registry)} - {""})
    words = re.sub(r"[-_. ]", "", path.stem).lower()
    inside = [robot for robot in robots if len(robot) > 3 and robot.lower() in words]
    folder = [robot for robot in robots if re.match(rf"{re.escape(robot)}-v\d", path.parent.name)]
    return [robot for robot in inside or folder if not any(robot in longer for longer in inside if robot != longer)]


def robot_of(env_id: str) -> str:
    """The robot of an id: 'Walker2d-v4' → 'Walker2d'."""
    return env_id.rpartition("-v")[0]


@cache
def actuator_box(env_id: str) -> tuple[Tensor, Tensor] | None:
    """Lowest and highest action (A,) of a task that has exact physics; None for others."""
    task = TASKS.get(env_id)
    if task is None or task.physics is None:
        return None
    low, high = torch.from_numpy(nominal_model(task).actuator_ctrlrange).float().unbind(1)
    return low.clone(), high.clone()


def find_env_id(name: str, policy: StoredPolicy, users_id: str | None) -> tuple[str, str]:
    """The task of a policy, and the reason in words.

    Raises:
        UserError: several tasks have these sizes, or none; the message lists them and asks for --env.
    """
    if policy.env_id is not None:
        return policy.env_id, f"{policy.env_id}: the file says so"
    fitting = tasks_of(policy.obs_size, policy.action_size)
    named = [env_id for env_id in fitting if robot_of(env_id).startswith(policy.robots)] if policy.robots else []
    if len(named) == 1:
        return named[0], f"{named[0]}: the file names {policy.robots[0]}"
    if users_id is not None:
        return users_id, f"{users_id}: said on the command line"
    sizes = f"{policy.obs_size} observations and {policy.action_size} actions"
    every = [*fitting, *others_of(policy.obs_size, policy.action_size)]
    named_so = named_tasks(Path(name))
    if len(every) == 1 and fitting and (not named_so or robot_of(fitting[0]) in named_so):
        return fitting[0], f"{fitting[0]}: {BY_SIZES}, {sizes}; --env if it is another task's"
    if len(every) > 1:
        raise UserError(
            f"{name} has {sizes}, as {', '.join(every)} have; say with --env which of these it was trained for."
        )
    if every:
        whose = f", and is named after {named_so[0]}" if named_so and robot_of(every[0]) not in named_so else ""
        raise UserError(f"{name} has {sizes}, as {every[0]} has{whose}; say with --env what it was trained for.")
    raise UserError(f"{name} has {sizes}, which no known task has; say with --env what it was trained for.")
