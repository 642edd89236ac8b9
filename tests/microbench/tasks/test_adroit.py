"""Adroit's tasks: the model that steps is the row's own, and what is paid is what D4RL paid."""

import copy
import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata, util
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt
import pytest
import torch
from mujoco import MjData, MjModel

from microbench.errors import UserError
from microbench.evaluation.chunk import check_task
from microbench.simulators.contract import GymnasiumSimulator, make_simulator, nominal_model
from microbench.tasks import Task, adroit, find_task, normalized_score
from microbench.tasks.adroit import ADROIT_TASKS
from microbench.tasks.environment import make_env
from perturbations import is_no_op, parse
from tests.microbench.small_run import write_policy

IDS = sorted(ADROIT_TASKS)
REGISTERED = [f"AdroitHand{name}-v1" for name in ("Pen", "Door", "Hammer", "Relocate")]
PERTURBED = ["mass=1.3,friction=0.6,gravity=0.8", "damping=1.4,armature=0.7,strength=0.9", "mass=0.8"]
DROP_HEIGHT = 0.075
ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def models_of(task: Task) -> list[MjModel]:
    """Three perturbed models; two rows share the last."""
    nominal = nominal_model(task)
    models = [parse(text)(nominal) for text in PERTURBED]
    return [*models, models[-1]]


def plain_env(task: Task, model: MjModel | None) -> Any:
    """The reference: gymnasium-robotics' own environment as registered, on a copy of the given model."""
    adroit.register()
    registered = adroit.RULES[task.env_id].registered if task.env_id in adroit.RULES else task.env_id
    env: Any = gymnasium.make(registered, max_episode_steps=task.horizon, disable_env_checker=True)
    if model is not None:
        env.unwrapped.model = copy.deepcopy(model)
        env.unwrapped.data = MjData(env.unwrapped.model)
    return env


def hand_to_object(env: Any) -> float:
    """Metres, read from the simulation and not from the observation."""
    inner, names = env.unwrapped, {"AdroitHandDoor-v1": "S_handle"}

    def site(name: str) -> Any:
        return inner.data.site_xpos[mujoco.mj_name2id(inner.model, mujoco.mjtObj.mjOBJ_SITE, name)]

    thing = site(names[env.spec.id]) if env.spec.id in names else inner.data.body("Object").xpos
    return float(np.linalg.norm(site("S_grasp") - thing))


def as_d4rl(env: Any, reward: float, terminated: bool) -> tuple[float, bool]:
    """Reward and termination of D4RL's environment, from those of the registered one."""
    if env.spec.id == "AdroitHandPen-v1":  # the other three pay differently
        return reward, terminated or bool(env.unwrapped.data.body("Object").xpos[2] < DROP_HEIGHT)
    return reward - 2 * 0.1 * hand_to_object(env), terminated


def as_registered(env: Any, reward: float, terminated: bool) -> tuple[float, bool]:
    """Unchanged."""
    return reward, terminated


@pytest.mark.parametrize("perturbed", [False, True])
@pytest.mark.parametrize("env_id", [*IDS, *REGISTERED])
def test_states_are_those_of_the_registered_environment_bit_for_bit(env_id: str, perturbed: bool) -> None:
    task = find_task(env_id)
    models = models_of(task) if perturbed else [nominal_model(task)] * 3
    simulator = make_simulator(task, models)
    envs, rng = [plain_env(task, model if perturbed else None) for model in models], np.random.default_rng(0)
    for episode in range(2):
        seeds, ids = [10 * episode + row for row in range(len(models))], np.arange(len(models))
        obs = simulator.reset(seeds)
        assert np.array_equal(obs, np.stack([env.reset(seed=s)[0] for env, s in zip(envs, seeds, strict=True)]))
        for _ in range(40):
            action = rng.uniform(-1.2, 1.2, (len(ids), task.action_size)).astype(np.float32)
            wrench = rng.uniform(-0.1, 0.1, (len(ids), models[0].nbody, 6))
            for i, row in zip(ids.tolist(), wrench, strict=True):
                envs[i].unwrapped.data.xfrc_applied[:] = row
            obs, reward, terminated, truncated = simulator.step(action, ids, wrench)
            moves = [envs[i].step(row) for i, row in zip(ids.tolist(), action, strict=True)]
            assert np.array_equal(obs, np.stack([move[0] for move in moves]))
            by_rules = as_d4rl if env_id in IDS else as_registered
            expected = [by_rules(envs[i], float(m[1]), m[2]) for i, m in zip(ids.tolist(), moves, strict=True)]
            atol = 1e-12 if env_id in IDS else 0
            np.testing.assert_allclose(reward, [paid for paid, _ in expected], rtol=0, atol=atol)
            assert terminated.tolist() == [ended for _, ended in expected]
            assert not truncated.any()
            ids = ids[~terminated]
            if not len(ids):
                break
    assert not simulator.unstable.any()
    simulator.close()


@pytest.mark.parametrize("env_id", IDS)
def test_a_perturbation_survives_resets_and_targets_are_the_rows_own(env_id: str) -> None:
    task = find_task(env_id)
    models = models_of(task)
    before = [copy.deepcopy(model) for model in models]
    simulator = GymnasiumSimulator(task, models)
    still = np.zeros((4, task.action_size), np.float32)
    for seeds in ([1, 2, 3, 4], [5, 6, 7, 7]):
        simulator.reset(seeds)
        first = simulator.step(still, np.arange(4))[0]
    assert np.array_equal(first[2], first[3])  # one model, one seed
    assert not np.array_equal(first[1], first[2])
    assert all(is_no_op(one, other) for one, other in zip(models, before, strict=True))
    own = [env.unwrapped.model for env in simulator._envs]  # type: ignore[attr-defined]
    assert len({id(model) for model in own}) == 4
    for model, original in zip(own, models, strict=True):
        for name in ("body_mass", "geom_friction", "dof_damping", "dof_armature", "actuator_gainprm"):
            assert np.array_equal(getattr(model, name), getattr(original, name)), name
        assert np.array_equal(model.opt.gravity, original.opt.gravity)
    places = [np.concatenate([m.body_pos, m.body_quat, m.site_pos], axis=None) for m in own]
    assert not np.array_equal(places[0], places[1])  # each seed put the target elsewhere
    simulator.close()


@pytest.mark.parametrize("env_id", IDS)
def test_a_random_policy_earns_d4rls_random_score(env_id: str) -> None:
    """D4RL's published anchor, from its own environment on another MuJoCo, within the noise of these episodes."""
    task, rng = find_task(env_id), np.random.default_rng(0)
    env, returns = make_env(env_id), []
    for seed in range(30):
        env.reset(seed=seed)
        total, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(rng.uniform(-1, 1, task.action_size).astype(np.float32))
            total, ended = total + float(reward), terminated or truncated
        returns.append(total)
    mean, error = float(np.mean(returns)), float(np.std(returns, ddof=1) / np.sqrt(len(returns)))
    assert task.random_score is not None
    assert abs(mean - task.random_score) < 3 * error
    assert abs(float(normalized_score(task, mean))) < 1.5


def test_a_dropped_pen_ends_and_an_episode_has_100_steps() -> None:
    env: Any = make_env("pen-v1")
    env.reset(seed=0)
    inner = env.unwrapped
    inner.data.qpos[-6] += 0.2  # the pen's own x points down
    _, reward, terminated, truncated, _ = env.step(np.zeros(24, np.float32))
    assert inner.data.body("Object").xpos[2] < DROP_HEIGHT
    assert terminated
    assert not truncated
    assert reward < -4.0  # the penalty for dropping is paid
    env.reset(seed=0)
    held = np.zeros(24, np.float32)
    ends = [env.step(held)[2:4] for _ in range(100)]
    assert [truncated for _, truncated in ends] == [False] * 99 + [True]


def test_a_policy_may_be_evaluated_by_either_rules(tmp_path: Path) -> None:
    """The robot is the same; a door is another task."""
    own = write_policy(tmp_path / "policy.safetensors")
    target = replace(own.target, policy=lambda obs: torch.zeros(len(obs), 24), obs_scale={"raw": torch.ones(45)})
    check_task(replace(own, env_id="pen-v1", target=target), find_task("AdroitHandPen-v1"))
    check_task(replace(own, env_id="AdroitHandPen-v1", target=target), find_task("pen-v1"))
    with pytest.raises(UserError, match="is a policy of pen-v1"):
        check_task(replace(own, env_id="pen-v1", target=target), find_task("door-v1"))


SESSION = """
import numpy as np
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import find_task
from perturbations import mass
for env_id in {ids}:
    task = find_task(env_id)
    simulator = make_simulator(task, [mass(1.3)(nominal_model(task))] * 2)
    simulator.reset([0, 1])
    simulator.step(np.full((2, task.action_size), np.nan, np.float32), np.arange(2))
    simulator.close()
"""


def test_nothing_is_written_printed_or_warned(tmp_path: Path) -> None:
    """In an interpreter of its own: gymnasium-robotics speaks when it is first imported."""
    spec = util.find_spec("gymnasium_robotics")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "envs" / "assets" / "adroit_hand"
    before = hashes(folder)
    command = [sys.executable, "-W", "error", "-c", SESSION.format(ids=IDS)]
    ended = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
    assert before == hashes(folder)


def hashes(folder: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()]


def missing(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


@pytest.mark.parametrize(("version", "words"), [(missing, "none is"), (lambda name: "1.2.0", "1.2.0 is")])
@pytest.mark.parametrize("env_id", ["pen-v1", "AdroitHandPen-v1", "AdroitHandDoorSparse-v1"])
def test_without_the_known_release_a_sentence_names_the_extra(
    env_id: str, version: Callable[[str], str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(UserError, match=rf"1\.4\.2, but {words} installed: install the extra 'adroit'"):
        find_task(env_id)
    with pytest.raises(UserError, match="install the extra 'adroit'"):
        make_env(env_id)


def test_the_extra_is_the_known_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["optional-dependencies"]["adroit"] == [f"gymnasium-robotics=={adroit.VERSION}"]


def test_a_registered_task_has_its_own_rules_and_no_anchors() -> None:
    assert find_task("AdroitHandPen-v1").horizon == 200
    task = find_task("AdroitHandDoorSparse-v1")
    assert (task.obs_size, task.action_size, task.horizon, task.random_score) == (39, 28, 200, None)
    reward: npt.NDArray[np.float64]
    simulator = GymnasiumSimulator(task, n=1)
    simulator.reset([0])
    _, reward, _, _ = simulator.step(np.zeros((1, 28), np.float32), np.arange(1))
    assert reward.tolist() == [-0.1]
