"""The tasks: one record each, with its reference scores, its imagined termination and its exact physics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import nan

import gymnasium
import numpy as np
import numpy.typing as npt

from microbench import locomotion as loco
from microbench.environment import make_env
from microbench.errors import UserError, unknown_name
from microbench.locomotion import Floats, ImaginedTerminal, Physics, Reward


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is known of a Gymnasium task.

    `random_score` and `expert_score` are D4RL's anchors (returns of a random and of an expert policy in the
    -v2 environments, the same for every dataset of the task), None where there are none. `physics` is what the
    batched simulator needs; without it the task runs in Gymnasium itself. `unreachable` names pairs of geoms
    that cannot touch while an episode lives, so that a friction changed only there changes nothing.
    """

    env_id: str
    name: str | None = None
    obs_size: int
    action_size: int
    horizon: int = 1000
    random_score: float | None = None
    expert_score: float | None = None
    imagined_terminal: ImaginedTerminal = loco.imagined_never_ends
    physics: Physics | None = None
    unreachable: frozenset[tuple[str, str]] = frozenset()


# A living Hopper stands on its foot: height > 0.7 and |angle| < 0.2 keep hip and knee off the floor, and the
# leg's lower end lies inside the foot.
_HOPPER_OFF_THE_FLOOR = frozenset(("floor", geom) for geom in ("torso_geom", "thigh_geom", "leg_geom"))

_HOPPER = Task(
    env_id="Hopper-v4",
    name="hopper",
    obs_size=11,
    action_size=3,
    random_score=-20.272305,
    expert_score=3234.3,
    imagined_terminal=loco.imagined_hopper_falls,
    physics=Physics(
        xml="hopper.xml",
        frame_skip=4,
        reset_noise=partial(loco.uniform_noise, scale=5e-3),
        position=loco.root_x,
        observe=loco.clipped,
        fallen=loco.hopper_falls,
        reward=loco.v4_hop_reward,
    ),
    unreachable=_HOPPER_OFF_THE_FLOOR,
)
_HALF_CHEETAH = Task(
    env_id="HalfCheetah-v4",
    name="halfcheetah",
    obs_size=17,
    action_size=6,
    random_score=-280.178953,
    expert_score=12135.0,
    imagined_terminal=loco.imagined_half_cheetah_ends,
    physics=Physics(
        xml="half_cheetah.xml",
        frame_skip=5,
        reset_noise=partial(loco.normal_velocity_noise, scale=0.1),
        position=loco.root_x,
        observe=loco.unclipped,
        fallen=loco.never_falls,
        reward=loco.run_reward,
    ),
)
_WALKER2D = Task(
    env_id="Walker2d-v4",
    name="walker2d",
    obs_size=17,
    action_size=6,
    random_score=1.629008,
    expert_score=4592.3,
    imagined_terminal=loco.imagined_walker2d_falls,
    physics=Physics(
        xml="walker2d.xml",
        frame_skip=4,
        reset_noise=partial(loco.uniform_noise, scale=5e-3),
        position=loco.root_x,
        observe=loco.clipped,
        fallen=loco.walker2d_falls,
        reward=loco.v4_hop_reward,
    ),
)


def _successor(task: Task, reward: Reward | None = None, xml: str | None = None) -> Task:
    """The -v5 of a -v4 task: the same record but for what its reward pays and its model file."""
    assert task.physics is not None
    physics = replace(task.physics, reward=reward or task.physics.reward, xml=xml or task.physics.xml)
    return replace(task, env_id=task.env_id.replace("-v4", "-v5"), physics=physics)


_ALL = (
    _HOPPER,
    _HALF_CHEETAH,
    _WALKER2D,
    _successor(_HOPPER, reward=loco.v5_hop_reward),
    _successor(_HALF_CHEETAH),
    _successor(_WALKER2D, reward=loco.v5_hop_reward, xml="walker2d_v5.xml"),
)

TASKS: dict[str, Task] = {task.env_id: task for task in _ALL}


def find_task(env_id: str) -> Task:
    """The record of a Gymnasium id, built from the environment itself where the table has none.

    A built record knows no scores, no exact physics and no rule that ends imagined rollouts.

    Raises:
        UserError: no such environment (with the nearest name), or observations or actions that are not vectors.
    """
    if env_id in TASKS:
        return TASKS[env_id]
    if ":" not in env_id and env_id not in gymnasium.registry:  # "module:Name-v0" registers on import
        raise unknown_name("task", env_id, _known_ids())
    try:
        env = make_env(env_id)
    except (gymnasium.error.Error, ImportError) as error:
        raise UserError(f"Gymnasium cannot make '{env_id}': {error}") from error
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


def normalized_score(task: Task, returns: npt.ArrayLike) -> Floats:
    """D4RL's score: 100 · (R − random) / (expert − random); NaN where the task has no anchors.

    The anchors come from the -v2 environments; using them on -v4 and -v5 is common practice, not the same.
    """
    random = nan if task.random_score is None else task.random_score
    expert = nan if task.expert_score is None else task.expert_score
    return 100.0 * (np.asarray(returns, dtype=np.float64) - random) / (expert - random)


def _known_ids() -> list[str]:
    """The table's ids and the MuJoCo tasks that the installed Gymnasium still runs."""
    running = [
        env_id
        for env_id, spec in gymnasium.registry.items()
        if str(spec.entry_point).startswith("gymnasium.envs.mujoco") and env_id.endswith(("-v4", "-v5"))
    ]
    return sorted({*TASKS, *running})
