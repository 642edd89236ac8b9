"""Gymnasium's locomotion tasks: one record each, with reference scores, imagined termination and exact physics."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from microbench.tasks import forces, imagined
from microbench.tasks import locomotion as loco
from microbench.tasks.physics import Physics
from microbench.tasks.record import Task

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
    imagined_terminal=imagined.hopper_falls,
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
    imagined_terminal=imagined.half_cheetah_ends,
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
    imagined_terminal=imagined.walker2d_falls,
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


_ANT = Task(
    env_id="Ant-v4",
    name="ant",
    obs_size=27,
    action_size=8,
    random_score=-325.6,
    expert_score=3879.7,
    imagined_terminal=imagined.ant_falls,
    physics=Physics(
        xml="ant.xml",
        frame_skip=5,
        reset_noise=partial(loco.normal_velocity_noise, scale=0.1),
        position=loco.torso_x,
        observe=loco.without_xy,
        fallen=loco.ant_falls,
        reward=loco.v4_ant_reward,
        derived=("xpos",),
    ),
)
_SWIMMER = Task(
    env_id="Swimmer-v4",
    obs_size=8,
    action_size=2,
    physics=Physics(
        xml="swimmer.xml",
        frame_skip=4,
        reset_noise=partial(loco.uniform_noise, scale=0.1),
        position=loco.root_x,
        observe=loco.without_xy,
        fallen=loco.never_falls,
        reward=loco.swim_reward,
    ),
)
_INVERTED_PENDULUM = Task(
    env_id="InvertedPendulum-v4",
    obs_size=4,
    action_size=1,
    imagined_terminal=imagined.pendulum_falls,
    physics=Physics(
        xml="inverted_pendulum.xml",
        frame_skip=2,
        reset_noise=partial(loco.uniform_noise, scale=0.01),
        position=loco.root_x,
        observe=loco.whole_state,
        fallen=loco.pendulum_falls,
        reward=loco.v4_balance_reward,
    ),
)
_HUMANOID = Task(
    env_id="Humanoid-v4",
    obs_size=376,
    action_size=17,
    imagined_terminal=imagined.humanoid_falls,
    physics=Physics(
        xml="humanoid.xml",
        frame_skip=5,
        reset_noise=partial(loco.uniform_noise, scale=1e-2),
        position=forces.mass_center_x,
        observe=forces.v4_humanoid,
        fallen=forces.humanoid_falls,
        reward=forces.v4_humanoid_reward,
        derived=("xipos", "cinert", "cvel", "qfrc_actuator", "cfrc_ext"),
        constants=("body_mass",),
    ),
)


def _successor(task: Task, obs_size: int | None = None, **changed: Any) -> Task:
    """The -v5 of a -v4 task: the same record except for the fields of its physics in `changed`."""
    assert task.physics is not None
    physics = replace(task.physics, **changed)
    return replace(task, env_id=task.env_id.replace("-v4", "-v5"), obs_size=obs_size or task.obs_size, physics=physics)


_ALL = (
    _HOPPER,
    _HALF_CHEETAH,
    _WALKER2D,
    _ANT,
    # What Gymnasium calls Ant-v4 with use_contact_forces: sensors and rewards of the Ant-v2 and -v3 that older policies
    # were trained on. It runs in Gymnasium itself.
    replace(_ANT, env_id="AntContactForces-v4", obs_size=111, physics=None),
    _SWIMMER,
    _INVERTED_PENDULUM,
    _HUMANOID,
    _successor(_HOPPER, reward=loco.v5_hop_reward),
    _successor(_HALF_CHEETAH),
    _successor(_WALKER2D, reward=loco.v5_hop_reward, xml="walker2d_v5.xml"),
    _successor(
        _ANT,
        obs_size=105,
        observe=forces.with_contact_forces,
        reward=forces.v5_ant_reward,
        derived=("xpos", "cfrc_ext"),
    ),
    _successor(_SWIMMER),
    _successor(_INVERTED_PENDULUM, reward=loco.v5_balance_reward),
    _successor(_HUMANOID, obs_size=348, observe=forces.v5_humanoid, reward=forces.v5_humanoid_reward),
)

LOCOMOTION_TASKS: dict[str, Task] = {task.env_id: task for task in _ALL}
