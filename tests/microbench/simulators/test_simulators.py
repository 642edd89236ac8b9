"""Both simulators against plain Gymnasium, bit for bit."""

import copy
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from mujoco import MjData, MjModel

from attacks import Target
from microbench.episodes.loop import deterministic_action, run_episodes
from microbench.errors import UserError
from microbench.simulators.contract import (
    BatchedSimulator,
    GymnasiumSimulator,
    Simulator,
    make_simulator,
    nominal_model,
)
from microbench.tasks import TASKS, Task, find_task
from microbench.tasks.environment import make_env
from perturbations import compose, friction, is_no_op, parse

IDS = sorted(env_id for env_id, task in TASKS.items() if task.physics is not None)
PERTURBED = [
    "mass=1.3,friction=0.6,gravity=0.8",
    "damping=1.4,armature=0.7,strength=0.9,stiffness=0.8,limb-size-density=1.1,wind=4",
    "mass=0.8",
]
Step = tuple[npt.NDArray[np.float64], float, bool, bool]


def models_of(task: Task, perturbed: bool) -> list[MjModel]:
    """Four rows: one shared nominal model, or three perturbed ones of which two rows share the last."""
    nominal = nominal_model(task)
    if not perturbed:
        return [nominal] * 4
    models = [parse(text)(nominal) for text in PERTURBED]
    return [*models, models[-1]]


def plain_env(task: Task, model: MjModel | None) -> Any:
    """The reference: Gymnasium's own environment, on the given model."""
    env: Any = make_env(task.env_id)
    if model is not None:
        env.unwrapped.model = model
        env.unwrapped.data = MjData(model)
    return env


def assert_bit_equal(
    simulator: Simulator, envs: Sequence[Any], env_steps: int, steps: int = 60, push: float = 0.0
) -> int:
    """Step both under the same unclipped float32 actions, rows leaving as they end, for some `env_steps` or more.

    A round of episodes is cut after `steps`; there are at least two rounds. Returns the env steps of the first.
    With `push`, random wrenches of this size act in two steps of three.
    """
    rng, taken, episode, first_round = np.random.default_rng(3), 0, 0, 0
    while taken < env_steps or episode < 2:
        seeds = [100 * episode + row for row in range(simulator.n)]
        obs = simulator.reset(seeds)
        assert np.array_equal(obs, np.stack([env.reset(seed=s)[0] for env, s in zip(envs, seeds, strict=True)]))
        ids = np.arange(simulator.n)
        for step in range(steps):
            action = rng.uniform(-1.5, 1.5, (len(ids), simulator.task.action_size)).astype(np.float32)
            wrench = random_wrench(envs, ids, push if step % 3 else 0.0, rng)
            ours = simulator.step(action, ids, wrench)
            theirs = [envs[i].step(row)[:4] for i, row in zip(ids.tolist(), action, strict=True)]
            for mine, reference in zip(ours, zip(*theirs, strict=True), strict=True):
                assert np.array_equal(mine, np.array(reference))
            taken += len(ids)
            ids = ids[~(ours[2] | ours[3])]
            if not len(ids):
                break
        episode, first_round = episode + 1, first_round or taken
    return first_round


def random_wrench(
    envs: Sequence[Any], ids: npt.NDArray[np.int64], push: float, rng: np.random.Generator
) -> npt.NDArray[np.float64] | None:
    """Push all bodies of the rows' environments; returns what the simulator is given, None for no push at all."""
    wrench = push * rng.uniform(-1, 1, (len(ids), *envs[0].unwrapped.data.xfrc_applied.shape)) if push else None
    for i, row in zip(ids.tolist(), [0.0] * len(ids) if wrench is None else wrench, strict=True):
        if hasattr(envs[i].unwrapped, "data"):  # Pendulum-v1 has no bodies
            envs[i].unwrapped.data.xfrc_applied[:] = row
    return wrench


@pytest.mark.parametrize("nthread", [1, 2])
@pytest.mark.parametrize("perturbed", [False, True])
@pytest.mark.parametrize("env_id", IDS)
def test_the_batched_simulator_is_gymnasium_bit_for_bit(env_id: str, perturbed: bool, nthread: int) -> None:
    task = TASKS[env_id]
    models = models_of(task, perturbed)
    simulator = BatchedSimulator(task, models, nthread)
    envs = [plain_env(task, model if perturbed else None) for model in models]
    assert_bit_equal(simulator, envs, env_steps=500)
    assert not simulator.unstable.any()


@pytest.mark.parametrize("env_id", ["Ant-v5", "Humanoid-v4", "Humanoid-v5"])
def test_a_policy_earns_what_it_earns_in_gymnasium(env_id: str) -> None:
    """Closed loop: one differing bit would be fed back and grow. Rows fall, and leave, at different times."""
    task = replace(TASKS[env_id], horizon=300)
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(task.obs_size, 32), torch.nn.Tanh(), torch.nn.Linear(32, 20))

    def policy(obs: torch.Tensor) -> torch.Tensor:
        return torch.tanh(4 * layers(obs))[:, : task.action_size]  # 20 units: see `rows.BLOCK_ROWS`

    models = [parse(text)(nominal_model(task)) for text in (*PERTURBED, "mass=1", "gravity=1.2")]
    simulator = BatchedSimulator(task, models)
    ours = run_episodes(Target(policy=policy, obs_scale={}), simulator, range(5))
    for row, model in enumerate(models):
        env, total, steps, ended = plain_env(task, model), 0.0, 0, False
        obs = env.reset(seed=row)[0]
        while not ended and steps < task.horizon:
            seen = torch.from_numpy(obs[None].astype(np.float32))
            action = np.clip(deterministic_action(policy, seen)[0], simulator.action_low, simulator.action_high)
            obs, reward, ended = env.step(action)[:3]
            total, steps = total + reward, steps + 1
        assert (ours.returns[row], ours.lengths[row]) == (total, steps)
    assert len(set(ours.lengths.tolist())) > 1


@pytest.mark.parametrize("kind", [BatchedSimulator, GymnasiumSimulator])
@pytest.mark.parametrize("env_id", ["Hopper-v4", "HalfCheetah-v5", "Ant-v5", "Humanoid-v4"])
def test_a_wrench_pushes_for_one_step_as_in_gymnasium(
    env_id: str, kind: type[BatchedSimulator] | type[GymnasiumSimulator]
) -> None:
    task = TASKS[env_id]
    models = models_of(task, perturbed=True)
    simulator = kind(task, models)
    assert_bit_equal(simulator, [plain_env(task, model) for model in models], env_steps=200, push=3.0)
    simulator.close()


@pytest.mark.parametrize("kind", [BatchedSimulator, GymnasiumSimulator])
def test_a_wrench_lifts_the_body_it_names_and_leaves_no_trace(
    kind: type[BatchedSimulator] | type[GymnasiumSimulator],
) -> None:
    task = TASKS["HalfCheetah-v4"]
    model = nominal_model(task)
    simulator, ids, still = kind(task, [model] * 2), np.arange(2), np.zeros((2, 6), np.float32)
    wrench = np.zeros((2, model.nbody, 6))
    wrench[1, 1, 2] = 1e4  # N, upwards, on the second row's torso
    simulator.reset([4, 4])
    obs = simulator.step(still, ids, wrench)[0]
    assert obs[1, 9] > obs[0, 9] + 1.0  # upward velocity: 0.05 s · 10 kN / 14 kg, less what the legs hold back
    assert np.array_equal(*simulator.reset([4, 4]))
    assert np.array_equal(*simulator.step(still, ids)[0])
    simulator.close()


@pytest.mark.parametrize("env_id", ["HalfCheetah-v4", "HalfCheetah-v5"])
def test_episodes_are_truncated_at_the_horizon(env_id: str) -> None:
    task = TASKS[env_id]
    simulator = BatchedSimulator(task, [nominal_model(task)])
    assert assert_bit_equal(simulator, [plain_env(task, None)], env_steps=1, steps=2000) == task.horizon


@pytest.mark.parametrize("perturbed", [False, True])
@pytest.mark.parametrize("env_id", ["Hopper-v4", "Walker2d-v5", "HalfCheetah-v4", "Humanoid-v4", "Ant-v5"])
def test_both_simulators_agree(env_id: str, perturbed: bool) -> None:
    task = TASKS[env_id]
    models = models_of(task, perturbed)
    fast, slow = BatchedSimulator(task, models), GymnasiumSimulator(task, models)
    rng, ids = np.random.default_rng(0), np.arange(4)
    assert np.array_equal(fast.reset([1, 2, 3, 4]), slow.reset([1, 2, 3, 4]))
    assert np.array_equal(fast.action_low, slow.action_low)
    assert np.array_equal(fast.action_high, slow.action_high)
    while len(ids) and fast._elapsed.max() < 50:
        action = rng.uniform(-1, 1, (len(ids), task.action_size)).astype(np.float32)
        results = fast.step(action, ids), slow.step(action, ids)
        for one, other in zip(*results, strict=True):
            assert np.array_equal(one, other)
            assert one.dtype == other.dtype
        ids = ids[~results[0][2]]
    slow.close()
    fast.close()


@pytest.mark.parametrize("env_id", ["Reacher-v5", "Humanoid-v4", "Ant-v5", "Pendulum-v1"])
def test_any_other_task_runs_in_gymnasium(env_id: str) -> None:
    task = find_task(env_id)
    simulator = GymnasiumSimulator(task, n=3)
    assert_bit_equal(simulator, [make_env(env_id) for _ in range(3)], env_steps=60, steps=20)
    assert not simulator.unstable.any()
    simulator.close()


def test_a_perturbed_model_is_the_one_that_steps() -> None:
    task = find_task("Ant-v5")
    models = models_of(task, perturbed=True)
    simulator = GymnasiumSimulator(task, models)
    assert_bit_equal(simulator, [plain_env(task, model) for model in models], env_steps=60, steps=15)
    nominal, same_seed = GymnasiumSimulator(task, n=4), [5, 5, 5, 5]
    action, ids = np.full((4, 8), 0.5, np.float32), np.arange(4)
    assert np.array_equal(simulator.reset(same_seed), nominal.reset(same_seed))
    for _ in range(5):
        moved, unmoved = simulator.step(action, ids)[0], nominal.step(action, ids)[0]
    assert (np.abs(moved - unmoved).max(axis=1) > 1e-3).all()
    assert np.array_equal(moved[2], moved[3])  # the two rows that share a model and a seed


class Stubborn(gymnasium.Env[Any, Any]):
    """Holds on to the physics it was built with."""

    def __init__(self) -> None:
        self.model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
        self.data = self._own = MjData(self.model)
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float64)
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(2), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        mujoco.mj_step(self.model, self._own)
        return np.zeros(2), 0.0, False, False, {}


def test_an_environment_that_keeps_its_own_model_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EnvSpec("Stubborn-v0", entry_point=lambda **_: Stubborn(), max_episode_steps=10)
    monkeypatch.setitem(gymnasium.registry, spec.id, spec)
    task = find_task("Stubborn-v0")
    simulator = GymnasiumSimulator(task, [nominal_model(task)] * 2)
    simulator.reset([0, 1])
    with pytest.raises(UserError, match="does not step the model it was given"):
        simulator.step(np.zeros((2, 1), np.float32), np.arange(2))


@pytest.mark.parametrize("env_id", ["Hopper-v4", "HalfCheetah-v4", "Ant-v5", "Humanoid-v5"])
def test_a_row_does_not_depend_on_its_company(env_id: str) -> None:
    task = TASKS[env_id]
    models = models_of(task, perturbed=True)
    together, alone = BatchedSimulator(task, models), BatchedSimulator(task, models[2:3])
    assert np.array_equal(together.reset([7, 8, 9, 10])[2:3], alone.reset([9]))
    rng = np.random.default_rng(1)
    for step in range(15):
        action = rng.uniform(-1, 1, (4, task.action_size)).astype(np.float32)
        ids = np.arange(4) if step % 2 else np.array([0, 2])
        ours = together.step(action[ids], ids)
        theirs = alone.step(action[2:3], np.array([0]))
        place = int(np.flatnonzero(ids == 2)[0])
        for mine, reference in zip(ours, theirs, strict=True):
            assert np.array_equal(mine[place : place + 1], reference)


@pytest.mark.parametrize("perturbed", [False, True])
@pytest.mark.parametrize(
    ("kind", "env_id"),
    [
        (BatchedSimulator, "Hopper-v4"),
        (BatchedSimulator, "Ant-v4"),  # its reward needs positions that `mj_forward` computes
        (BatchedSimulator, "Humanoid-v4"),  # row by row
        (GymnasiumSimulator, "HalfCheetah-v5"),
    ],
)
def test_a_restarted_row_is_a_fresh_one_and_the_others_run_on(
    kind: type[BatchedSimulator] | type[GymnasiumSimulator], env_id: str, perturbed: bool
) -> None:
    """Rows 1 and 3 start anew after seven steps: from then on they equal fresh rows, rows 0 and 2 undisturbed ones."""
    task = replace(TASKS[env_id], horizon=12)
    models = models_of(task, perturbed)
    restarted, fresh, undisturbed = (kind(task, models) for _ in range(3))
    ids, again = np.arange(4), np.array([1, 3])
    assert np.array_equal(restarted.reset([1, 2, 3, 4]), undisturbed.reset([1, 2, 3, 4]))
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (12, 4, task.action_size)).astype(np.float32)
    for action in actions[:7]:
        restarted.step(action, ids)
        undisturbed.step(action, ids)
    begun = fresh.reset([9, 8, 9, 7])
    assert np.array_equal(restarted.restart(again, [8, 7]), begun[again])
    for action in actions[7:]:
        ours, theirs, new = (simulator.step(action, ids) for simulator in (restarted, undisturbed, fresh))
        for mine, old, young in zip(ours, theirs, new, strict=True):
            assert np.array_equal(mine[[0, 2]], old[[0, 2]])
            assert np.array_equal(mine[again], young[again])
    assert ours[3].tolist() == [True, False, True, False]  # the restarted rows have their whole time before them
    for simulator in (restarted, fresh, undisturbed):
        simulator.close()


def test_a_restart_forgets_what_was_unstable() -> None:
    task = TASKS["HalfCheetah-v4"]
    explosive = copy.deepcopy(nominal_model(task))
    explosive.opt.timestep = 0.2
    simulator, ids = BatchedSimulator(task, [explosive] * 2), np.arange(2)
    simulator.reset([0, 1])
    for action in np.random.default_rng(0).uniform(-1, 1, (40, 2, task.action_size)).astype(np.float32):
        simulator.step(action, ids)
    assert simulator.unstable.tolist() == [True, True]
    simulator.restart(np.array([1]), [5])
    assert simulator.unstable.tolist() == [True, False]


@pytest.mark.parametrize("env_id", IDS)
def test_the_nominal_model_is_gymnasiums(env_id: str) -> None:
    assert is_no_op(nominal_model(TASKS[env_id]), plain_env(TASKS[env_id], None).unwrapped.model)


def test_nothing_is_written_printed_or_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assets = sorted((Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets").iterdir())
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in assets if path.is_file()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for task in (TASKS[env_id] for env_id in IDS):
            models = models_of(task, perturbed=True)
            for simulator in (BatchedSimulator(task, models), GymnasiumSimulator(task, models)):
                simulator.reset([0, 1, 2, 3])
                simulator.step(np.full((4, task.action_size), np.nan, np.float32), np.arange(4))
    assert before == [hashlib.sha256(path.read_bytes()).hexdigest() for path in assets if path.is_file()]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("env_id", "timestep"), [("HalfCheetah-v4", 0.2), ("Ant-v5", 0.4)])
def test_unstable_rows_are_told(
    env_id: str, timestep: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    task = TASKS[env_id]
    nominal = nominal_model(task)
    explosive = copy.deepcopy(nominal)
    explosive.opt.timestep = timestep
    models = [nominal, explosive, nominal]
    fast, slow = BatchedSimulator(task, models), GymnasiumSimulator(task, models)
    for simulator in (fast, slow):
        simulator.reset([0, 1, 2])
        assert simulator.unstable.tolist() == [False, False, False]
    action = np.random.default_rng(0).uniform(-1, 1, (40, 3, task.action_size)).astype(np.float32)
    for row in action:
        for mine, reference in zip(fast.step(row, np.arange(3)), slow.step(row, np.arange(3)), strict=True):
            assert np.array_equal(mine, reference)
    for simulator in (fast, slow):
        assert simulator.unstable.tolist() == [False, True, False]
        simulator.reset([0, 1, 2])
        assert simulator.unstable.tolist() == [False, False, False]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert mujoco.get_mju_user_warning() is None


def test_models_are_left_as_they_were() -> None:
    task = TASKS["Hopper-v4"]
    models = models_of(task, perturbed=True)
    copies = [copy.deepcopy(model) for model in models]
    for simulator in (BatchedSimulator(task, models), GymnasiumSimulator(task, models)):
        simulator.reset([0, 1, 2, 3])
        simulator.step(np.zeros((4, 3), np.float32), np.arange(4))
    assert all(is_no_op(one, other) for one, other in zip(models, copies, strict=True))
    assert [model.opt.disableflags for model in models] == [model.opt.disableflags for model in copies]


def test_a_smoother_floor_changes_no_living_hopper() -> None:
    task = TASKS["Hopper-v4"]
    nominal = nominal_model(task)
    smooth = friction(0.5, geoms="floor")(nominal)
    assert is_no_op(nominal, smooth, task.unreachable)
    simulator = BatchedSimulator(task, [*[nominal] * 50, *[smooth] * 50])
    obs, ids = simulator.reset([*range(50), *range(50)]), np.arange(100)
    rng = np.random.default_rng(0)
    while len(ids):
        action = np.tile(rng.uniform(-1, 1, (50, 3)).astype(np.float32), (2, 1))[ids]
        obs, reward, terminated, _ = simulator.step(action, ids)
        half = len(ids) // 2
        assert np.array_equal(ids[:half] + 50, ids[half:])
        assert np.array_equal(obs[:half], obs[half:])
        assert np.array_equal(reward[:half], reward[half:])
        ids = ids[~terminated]


def test_the_simulator_is_chosen_by_the_record() -> None:
    hopper, reacher = TASKS["Hopper-v4"], find_task("Reacher-v5")
    assert isinstance(make_simulator(hopper, [nominal_model(hopper)], nthread=2), BatchedSimulator)
    assert isinstance(make_simulator(reacher, [nominal_model(reacher)]), GymnasiumSimulator)


def test_mistakes_are_told_in_a_sentence() -> None:
    hopper, reacher, pendulum = TASKS["Hopper-v4"], find_task("Reacher-v5"), find_task("Pendulum-v1")
    model = nominal_model(hopper)
    with pytest.raises(UserError, match="2 seeds for 1 rows"):
        BatchedSimulator(hopper, [model]).reset([0, 1])
    with pytest.raises(UserError, match="1 seeds for 2 rows"):
        GymnasiumSimulator(hopper, n=2).reset([0])
    with pytest.raises(UserError, match="2 seeds for 1 rows"):
        BatchedSimulator(hopper, [model]).restart(np.array([0]), [0, 1])
    with pytest.raises(UserError, match="needs at least one row"):
        BatchedSimulator(hopper, [])
    with pytest.raises(UserError, match="no exact physics record"):
        BatchedSimulator(reacher, [nominal_model(reacher)])
    for models, n in ((None, None), ([], None), ([model], 2), (None, 0)):
        with pytest.raises(UserError, match="one model per row"):
            GymnasiumSimulator(hopper, models, n)
    with pytest.raises(UserError, match="no MuJoCo model"):
        nominal_model(pendulum)
    with pytest.raises(UserError, match="does not run on MuJoCo: its physics"):
        GymnasiumSimulator(pendulum, [model])
    with pytest.raises(UserError, match="does not run on MuJoCo: no force"):
        GymnasiumSimulator(pendulum, n=1).step(np.zeros((1, 1), np.float32), np.arange(1), np.zeros((1, 2, 6)))


def test_compose_of_nothing_simulates_the_nominal_task() -> None:
    task = TASKS["Walker2d-v4"]
    simulator = BatchedSimulator(task, [compose()(nominal_model(task))] * 4)
    assert_bit_equal(simulator, [plain_env(task, None) for _ in range(4)], env_steps=60)
