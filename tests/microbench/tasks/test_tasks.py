"""Records of tasks: scores, imagined ends, unknown names."""

import pickle
import warnings
from collections.abc import Callable
from math import inf, nan
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import torch

from microbench.errors import UserError
from microbench.simulators.contract import nominal_model
from microbench.tasks import TASKS, Task, find_task, normalized_score
from microbench.tasks.environment import make_env

IDS = sorted(TASKS)


@pytest.mark.parametrize("env_id", IDS)
def test_a_record_agrees_with_the_environment(env_id: str) -> None:
    task, env = TASKS[env_id], make_env(env_id)
    assert task.env_id == env_id
    assert env.observation_space.shape == (task.obs_size,)
    assert env.action_space.shape == (task.action_size,)
    assert env.spec is not None
    assert env.spec.max_episode_steps == task.horizon
    env.close()


@pytest.mark.parametrize(
    ("env_id", "random", "expert"),
    [("Hopper-v4", -20.272305, 3234.3), ("HalfCheetah-v4", -280.178953, 12135.0), ("Walker2d-v5", 1.629008, 4592.3)],
)
def test_scores_run_from_random_to_expert(env_id: str, random: float, expert: float) -> None:
    task = find_task(env_id)
    scores = normalized_score(task, [random, expert, (random + expert) / 2])
    np.testing.assert_allclose(scores, [0.0, 100.0, 50.0], atol=1e-12)


def test_a_published_score_is_reproduced() -> None:
    # Hopper, return 3000: 100 · (3000 + 20.272305) / (3234.3 + 20.272305)
    assert float(normalized_score(TASKS["Hopper-v4"], 3000.0)) == pytest.approx(92.80089, abs=1e-5)


def test_a_task_without_anchors_has_no_score() -> None:
    scores = normalized_score(find_task("Reacher-v5"), [1.0, 2.0])
    assert scores.shape == (2,)
    assert np.isnan(scores).all()


def hopper_row(height: float = 1.25, angle: float = 0.0, **others: float) -> list[float]:
    row = [height, angle] + [0.0] * 9
    for place, value in others.items():
        row[int(place.removeprefix("at"))] = value
    return row


HOPPER_ROWS = [
    (hopper_row(), False),
    (hopper_row(height=0.7), True),
    (hopper_row(height=0.701), False),
    (hopper_row(height=500.0), False),  # the height itself has no upper bound
    (hopper_row(height=inf), True),
    (hopper_row(height=-1000.0), True),
    (hopper_row(angle=0.2), True),
    (hopper_row(angle=-0.199), False),
    (hopper_row(angle=-0.2), True),
    (hopper_row(at5=99.9), False),
    (hopper_row(at5=100.0), True),
    (hopper_row(at10=-100.0), True),
    (hopper_row(at10=-1000.0), True),  # the published parenthesis lets this one live
    (hopper_row(at4=nan), True),
    (hopper_row(at4=-inf), True),
    (hopper_row(height=nan), True),
]
WALKER_ROWS = [
    ([1.2, 0.0] + [0.0] * 15, False),
    ([0.8, 0.0] + [0.0] * 15, True),
    ([1.999, 0.999] + [0.0] * 15, False),
    ([2.0, 0.0] + [0.0] * 15, True),
    ([1.2, 1.0] + [0.0] * 15, True),
    ([1.2, -1.0] + [0.0] * 15, True),
    ([1.2, 0.0] + [99.0] * 15, False),
    ([1.2, 0.0] + [-1000.0] * 15, True),
    ([1.2, 0.0, nan] + [0.0] * 14, True),
    ([1.2, 0.0, inf] + [0.0] * 14, True),
]
CHEETAH_ROWS = [
    ([-5.0] * 17, False),
    ([99.9] * 17, False),
    ([100.0] + [0.0] * 16, True),
    ([0.0] * 16 + [-1000.0], True),
    ([nan] + [0.0] * 16, True),
    ([-inf] + [0.0] * 16, True),
]
ANT_ROWS = [
    ([0.2] + [500.0] * 26, False),
    ([1.0] + [0.0] * 26, False),
    ([0.199] + [0.0] * 26, True),
    ([1.001] + [0.0] * 26, True),
    ([0.5] + [0.0] * 25 + [nan], True),
    ([-1000.0] + [0.0] * 26, True),
]
HUMANOID_ROWS = [([1.4, inf], True), ([1.0, 0.0], True), ([1.4, 9.0], False), ([2.0, 0.0], True), ([nan, 0.0], True)]
PENDULUM_ROWS = [
    ([0.0, 0.2, 0.0, 0.0], False),
    ([9.0, -0.2, 5.0, 0.0], False),
    ([0.0, 0.201, 0.0, 0.0], True),
    ([0.0, -1000.0, 0.0, 0.0], True),
    ([nan, 0.0, 0.0, 0.0], True),
    ([0.0, 0.0, 0.0, -inf], True),
]
PEN_ROWS = [
    ([0.0] * 26 + [0.075] + [0.0] * 18, False),
    ([0.0] * 26 + [0.0749] + [9.0] * 18, True),
    ([0.0] * 26 + [0.3] + [0.0] * 17 + [nan], True),
    ([inf] + [0.0] * 25 + [0.3] + [0.0] * 18, True),
]
OTHER_ROWS = [([1e30] * 10, False), ([nan] + [0.0] * 9, True), ([0.0] * 9 + [inf], True)]


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
@pytest.mark.parametrize(
    ("env_id", "rows"),
    [
        ("Hopper-v4", HOPPER_ROWS),
        ("Hopper-v5", HOPPER_ROWS),
        ("Walker2d-v4", WALKER_ROWS),
        ("Walker2d-v5", WALKER_ROWS),
        ("HalfCheetah-v4", CHEETAH_ROWS),
        ("HalfCheetah-v5", CHEETAH_ROWS),
        ("Ant-v4", ANT_ROWS),
        ("Ant-v5", ANT_ROWS),
        ("Humanoid-v5", HUMANOID_ROWS),
        ("InvertedPendulum-v4", PENDULUM_ROWS),
        ("Swimmer-v5", OTHER_ROWS),
        ("pen-v1", PEN_ROWS),
        ("door-v1", OTHER_ROWS),
        ("Reacher-v5", OTHER_ROWS),
    ],
)
def test_imagined_ends_by_hand(
    env_id: str, rows: list[tuple[list[float], bool]], kind: Callable[[list[list[float]]], Any]
) -> None:
    ends = find_task(env_id).imagined_terminal(kind([row for row, _ in rows]))
    assert ends.shape == (len(rows),)
    assert ends.dtype in (torch.bool, np.bool_)
    assert ends.tolist() == [ended for _, ended in rows]


def test_a_hopper_stands_on_its_foot_while_it_lives() -> None:
    """`Task.unreachable` holds: before another geom touches the floor, Hopper has fallen or sunk into it."""
    model = nominal_model(TASKS["Hopper-v4"])
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    foot = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, "foot_geom")
    names = {mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM, geom) for geom in range(1, model.ngeom)}
    assert {("floor", name) for name in names - {"foot_geom"}} == TASKS["Hopper-v4"].unreachable
    for _ in range(4000):
        data.qpos[:] = [0.0, 3.0, rng.uniform(-0.2, 0.2), *rng.uniform(*model.jnt_range[3:].T)]
        mujoco.mj_kinematics(model, data)
        ends = np.abs(data.geom_xmat[:, 8]) * model.geom_size[:, 1]  # a capsule's half length, upright part
        bottom = data.geom_xpos[:, 2] - ends - model.geom_size[:, 0]
        for other in set(range(1, model.ngeom)) - {foot}:
            height_at_touch = 3.0 - bottom[other]
            sunk_by = bottom[other] - bottom[foot]
            assert height_at_touch <= 0.7 + 1e-9 or sunk_by > 0.01


@pytest.mark.parametrize(("name", "near"), [("Hoper-v4", "Hopper-v4"), ("Walker2d-v9", "Walker2d-v"), ("Ant", "Ant-v")])
def test_an_unknown_id_is_told_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UserError, match=f"there is no task '{name}': did you mean '{near}"):
        find_task(name)


def test_an_environment_gymnasium_cannot_make_says_so() -> None:
    with pytest.raises(UserError, match="Gymnasium cannot make"):
        find_task("no_such_module:Hopper-v4")


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Blackjack-v1"])
def test_tasks_that_are_not_vectors_are_refused(env_id: str) -> None:
    with pytest.raises(UserError, match="must be vectors"):
        find_task(env_id)


def test_a_built_record_takes_its_sizes_from_the_environment() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = find_task("Reacher-v4")  # an out-of-date version: its remark must not leak
    assert (task.obs_size, task.action_size, task.horizon) == (11, 2, 50)
    assert task.physics is None
    assert task.name is None


def test_records_travel_to_workers() -> None:
    for task in TASKS.values():
        arrived: Task = pickle.loads(pickle.dumps(task))
        assert arrived.env_id == task.env_id
        assert arrived.imagined_terminal is task.imagined_terminal
        assert (arrived.physics is None) == (task.physics is None)


def test_versions_differ_only_where_they_should() -> None:
    def physics(env_id: str) -> Any:
        return TASKS[env_id].physics

    assert physics("HalfCheetah-v4") == physics("HalfCheetah-v5")
    assert physics("Walker2d-v4").xml != physics("Walker2d-v5").xml
    assert physics("Hopper-v4").reward != physics("Hopper-v5").reward
    task: Task = TASKS["Hopper-v4"]
    assert gymnasium.registry[task.env_id].max_episode_steps == task.horizon
