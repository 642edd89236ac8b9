"""Find a task by its Gymnasium id, and put its returns on D4RL's scale."""

import re
from importlib.util import find_spec
from math import nan

import gymnasium
import numpy as np
import numpy.typing as npt

from microbench.errors import UserError, unknown_name
from microbench.shown import shown
from microbench.tasks import adroit
from microbench.tasks.adroit import ADROIT_TASKS
from microbench.tasks.environment import is_registered, make_env
from microbench.tasks.physics import Floats
from microbench.tasks.record import Task
from microbench.tasks.robots import LOCOMOTION_TASKS

__all__ = ["TASKS", "Task", "check_stored", "find_task", "normalized_score"]

TASKS: dict[str, Task] = LOCOMOTION_TASKS | ADROIT_TASKS
"""The tasks that have a record of their own here, by their Gymnasium id."""


def find_task(env_id: str) -> Task:
    """The record of a Gymnasium id that the user named; for an id outside the table, built from the environment.

    A built record has no scores, no exact physics and no rule that ends imagined rollouts.
    `module:Id` imports the module, so an id that comes from a file has to pass `check_stored` first.

    Raises:
        UserError: there is no such environment (the message has the nearest name), or its observations or actions are
            not vectors. Or it is an Adroit task and the extra it needs is not installed.
    """
    if env_id in ADROIT_TASKS:
        adroit.require()
    if env_id in TASKS:
        return TASKS[env_id]
    if ":" not in env_id and not _runs(env_id):  # "module:Name-v0" registers on import
        raise _unknown(env_id)
    try:
        env = make_env(env_id)
    except Exception as error:  # whatever an environment of somebody else raises
        raise UserError(f"Gymnasium cannot make '{env_id}': {error or type(error).__name__}") from error
    obs, action, spec = env.observation_space, env.action_space, env.spec
    env.close()
    if not all(isinstance(box, gymnasium.spaces.Box) and len(box.shape) == 1 for box in (obs, action)):
        raise UserError(
            f"'{env_id}' has observations {obs} and actions {action}, but both must be vectors of real "
            "numbers: choose a continuous-control task."
        )
    assert obs.shape is not None
    assert action.shape is not None
    horizon = spec.max_episode_steps if spec is not None and spec.max_episode_steps else 1000
    return Task(env_id=env_id, obs_size=obs.shape[0], action_size=action.shape[0], horizon=horizon)


def check_stored(env_id: str, place: object, users_id: str | None = None) -> None:
    """Raise UserError if a file names a task whose id would import a module, unless the user named the same id.

    Gymnasium imports the module before a colon; `find_task` does so for the user, never for a file.
    """
    if ":" in env_id and env_id != users_id:
        raise UserError(
            f"{place} names the task {shown(env_id, 60)!r}, which would import a module, and a file is not asked to "
            f"run code; give the task yourself with --env."
        )


def normalized_score(task: Task, returns: npt.ArrayLike) -> Floats:
    """D4RL's score, 100 · (R − random) / (expert − random), of each return R; NaN where the task has no anchors.

    The anchors were measured in the -v2 environments. Using them for -v4 and -v5 is common practice, but not exact.
    """
    random = nan if task.random_score is None else task.random_score
    expert = nan if task.expert_score is None else task.expert_score
    return 100.0 * (np.asarray(returns, dtype=np.float64) - random) / (expert - random)


def _runs(env_id: str) -> bool:
    """Whether the id is registered and is no -v2 or -v3 task, which would need the discontinued mujoco_py."""
    return is_registered(env_id) and not (env_id in gymnasium.registry and _moved(env_id))


def _moved(env_id: str) -> bool:
    entry = str(gymnasium.registry[env_id].entry_point)
    return "_raise_mujoco_py_error" in entry or (
        entry.startswith("gymnasium_robotics.envs.mujoco.") and find_spec("mujoco_py") is None
    )


def _unknown(env_id: str) -> UserError:
    """The error for an unknown id. It suggests the -v4 task of the same robot, else the nearest name.

    D4RL's rewards equal those of -v4, in its -v2 datasets too. Rewards of -v2 and -v3 tasks do as well, except Ant's
    contact forces.
    """
    robot = re.split(r"-(?:v\d|[a-z])", env_id, maxsplit=1)[0].lower()
    robots = {known.rpartition("-v")[0].lower(): known for known in reversed([*TASKS, *_known_ids()])}
    known = robots.get(robot)
    if known is None:
        return unknown_name("task", env_id, _known_ids())
    contact = " (AntContactForces-v4 for a policy of 111 sensors)" if known == "Ant-v4" else ""
    return UserError(
        f"there is no task '{env_id}': did you mean '{known}'{contact}? All are listed by `microbench list`."
    )


def _known_ids() -> list[str]:
    """The table's ids and the MuJoCo tasks that the installed Gymnasium still runs."""
    running = [
        env_id
        for env_id, spec in gymnasium.registry.items()
        if str(spec.entry_point).startswith("gymnasium.envs.mujoco") and env_id.endswith(("-v4", "-v5"))
    ]
    return sorted({*TASKS, *running})
