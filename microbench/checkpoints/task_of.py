"""Which task a policy is of: what the file names, its sizes, or the user's word; never a guess."""

from functools import cache

import torch
from torch import Tensor

from microbench.checkpoints.found import Found
from microbench.errors import UserError
from microbench.simulators.models import nominal_model
from microbench.tasks import TASKS


def tasks_of(obs_size: int, action_size: int) -> list[str]:
    """The known tasks of these sizes, -v4 before and in place of its successor."""
    fitting = [task.env_id for task in TASKS.values() if (task.obs_size, task.action_size) == (obs_size, action_size)]
    robots = {robot_of(env_id) for env_id in fitting if env_id.endswith("-v4")}
    return [env_id for env_id in fitting if env_id.endswith("-v4") or robot_of(env_id) not in robots]


def robot_of(env_id: str) -> str:
    """'Walker2d-v4' → 'Walker2d'."""
    return env_id.rpartition("-v")[0]


@cache
def actuator_box(env_id: str) -> tuple[Tensor, Tensor] | None:
    """Lowest and highest action (A,) of a task with physics of its own; None for others."""
    task = TASKS.get(env_id)
    if task is None or task.physics is None:
        return None
    low, high = torch.from_numpy(nominal_model(task).actuator_ctrlrange).float().unbind(1)
    return low.clone(), high.clone()


def find_env_id(name: str, found: Found, said: str | None) -> tuple[str, str]:
    """The task of a policy and how it is known.

    Raises:
        UserError: several tasks have these sizes, or none; the sentence lists them and asks for --env.
    """
    if found.env_id is not None:
        return found.env_id, f"{found.env_id}: the file says so"
    fitting = tasks_of(found.obs_size, found.action_size)
    named = [env_id for env_id in fitting if robot_of(env_id).startswith(found.robots)] if found.robots else []
    if len(named) == 1:
        return named[0], f"{named[0]}: the file names {found.robots[0]}"
    if said is not None:
        return said, f"{said}: said on the command line"
    if len(fitting) == 1:
        return fitting[0], f"{fitting[0]}: the only known task with these sizes"
    sizes = f"{found.obs_size} observations and {found.action_size} actions"
    if fitting:
        raise UserError(
            f"{name} has {sizes}, as {', '.join(fitting)} have; say with --env which of these it was trained for."
        )
    raise UserError(f"{name} has {sizes}, which no known task has; say with --env what it was trained for.")
