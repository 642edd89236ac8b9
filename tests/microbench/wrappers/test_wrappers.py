"""One episode through the wrappers is the evaluator's, bit for bit, and Gymnasium finds nothing wrong with them."""

import dataclasses
import pickle
import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import perturbations
from attacks import Memory, Target
from microbench.checkpoints import Checkpoint
from microbench.episodes.loop import deterministic_action
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import Cell, Episode
from microbench.numerics.rows import one_thread
from microbench.tasks.environment import make_env
from microbench.wrappers import ObservationAttack, PerturbedDynamics
from perturbations import PERTURBATIONS
from tests.microbench.small_run import write_policy

SCALE = np.full(11, 0.5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_policy(tmp_path_factory.mktemp("policy") / "policy.safetensors")


def episode(env: Any, target: Target, seed: int | None) -> tuple[float, int]:
    """Return and length under the policy, which acts on what the wrappers show it."""
    obs, total, length, over = env.reset(seed=seed)[0], 0.0, 0, False
    with one_thread():
        while not over:
            action = deterministic_action(target.policy, torch.from_numpy(obs).float()[None])[0]
            obs, reward, terminated, truncated, _ = env.step(np.clip(action, -1, 1))
            total, length, over = total + float(reward), length + 1, terminated or truncated
    return total, length


def measured(checkpoint: Checkpoint, cell: Cell, seed: int, **conditions: Any) -> tuple[float, int]:
    """The evaluator's return and length."""
    chunk = (Episode(cell=cell, number=0, seed=seed),)
    row = evaluate_chunk(checkpoint, Conditions(env_id="Hopper-v4", **conditions), chunk).iloc[0]
    return float(row["return"]), int(row["length"])


# ---- observations


@pytest.mark.parametrize("attack", ["random", "fgsm", "pgd", "min-q", "action-diff", "pgd(steps=3)@2+5"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_attacked_episode_is_the_evaluators(checkpoint: Checkpoint, attack: str, norm: str) -> None:
    env = ObservationAttack(make_env("Hopper-v4"), checkpoint.target, attack, 0.3, norm=norm)
    for seed in (5, 6):  # the second does not depend on the first
        cell = Cell(attack=attack, eps=0.3)
        assert episode(env, checkpoint.target, seed) == measured(checkpoint, cell, seed, norm=norm)


def test_both_wrappers_together_are_the_evaluators(checkpoint: Checkpoint) -> None:
    target = checkpoint.target
    scale = target.scale("dataset-std").numpy()
    perturbed = PerturbedDynamics(make_env("Hopper-v4"), "mass=1.3,sensor-noise=0.2,latency=1", scale)
    cell = Cell(attack="fgsm", eps=0.2, perturbation="mass=1.3,sensor-noise=0.2,latency", factor=1)
    assert episode(ObservationAttack(perturbed, target, "fgsm", 0.2), target, 3) == measured(checkpoint, cell, 3)


def test_the_budget_holds_from_reset_on_and_the_truth_is_told(checkpoint: Checkpoint) -> None:
    env, plain = ObservationAttack(make_env("Hopper-v4"), checkpoint.target, "random", 0.2), make_env("Hopper-v4")
    room = 0.2 * checkpoint.target.scale("dataset-std").numpy() * (1 + 1e-5) + 1e-6
    seen, info = env.reset(seed=0)
    true = plain.reset(seed=0)[0]
    for _ in range(5):
        assert np.array_equal(info["clean_obs"], true)
        assert seen.dtype == true.dtype
        assert (seen != true).any()
        assert (np.abs(seen - true) <= room).all()
        seen, *_, info = env.step(np.zeros(3, np.float32))
        true = plain.step(np.zeros(3, np.float32))[0]


def test_no_budget_leaves_every_digit(checkpoint: Checkpoint) -> None:
    env = ObservationAttack(make_env("Hopper-v4"), checkpoint.target, "pgd", 0.0)
    seen, info = env.reset(seed=0)
    assert np.array_equal(seen, info["clean_obs"])
    assert (seen != seen.astype(np.float32)).any()  # there are digits that float32 has not


def test_the_attack_draws_on_where_no_seed_is_given(checkpoint: Checkpoint) -> None:
    env = ObservationAttack(make_env("Hopper-v4"), checkpoint.target, "random", 0.2)

    def changes() -> list[float]:
        seen, info = env.reset()
        return list(seen - info["clean_obs"])

    env.reset(seed=1)
    first, second = changes(), changes()
    env.reset(seed=1)
    assert (changes(), changes()) == (first, second)
    assert first != second


def test_a_memory_is_carried_and_forgotten_at_reset(checkpoint: Checkpoint) -> None:
    shown: list[torch.Tensor] = []

    def policy(obs: torch.Tensor) -> torch.Tensor:
        shown.append(obs.detach().clone())
        return checkpoint.target.policy(obs[:, :11] + 0 * obs[:, 11:].sum())

    memory = Memory(start=torch.zeros(1), advance=lambda seen, obs: obs[:, 11:] + 1)
    target = dataclasses.replace(checkpoint.target, policy=policy, critic=None, memory=memory)
    env = ObservationAttack(make_env("Hopper-v4"), target, "action-diff(steps=1)", 0.1)
    for _ in range(2):
        env.reset(seed=0)
        for step in range(3):
            assert {float(rows[0, 11]) for rows in shown} == {float(step)}
            shown.clear()
            env.step(np.zeros(3, np.float32))
        shown.clear()


def test_bounds_of_observations_are_widened_by_the_budget(checkpoint: Checkpoint) -> None:
    env: Any = make_env("Hopper-v4")
    env = gymnasium.Wrapper(env)
    env.observation_space = gymnasium.spaces.Box(-2.0, 2.0, (11,), np.float64)
    attacked = ObservationAttack(env, checkpoint.target, "random", 0.5)
    half = 0.5 * checkpoint.target.scale("dataset-std").double().numpy()
    assert isinstance(attacked.observation_space, gymnasium.spaces.Box)
    assert np.allclose(attacked.observation_space.high, 2 + half)
    assert np.allclose(attacked.observation_space.low, -2 - half)


def test_what_cannot_be_attacked_is_told(checkpoint: Checkpoint) -> None:
    with pytest.raises(UserError, match="the target has 11"):
        ObservationAttack(make_env("Walker2d-v4"), checkpoint.target)
    with pytest.raises(UserError, match="oracle needs copies of the world"):
        ObservationAttack(make_env("Hopper-v4"), checkpoint.target, "oracle")
    with pytest.raises(ValueError, match="did you mean 'pgd'"):
        ObservationAttack(make_env("Hopper-v4"), checkpoint.target, "pdg")


# ---- dynamics

FACTORS = {"latency": 2.0, "wind": 4.0, "sensor-dropout": 0.3, "sensor-noise": 0.3, "push": 0.8}
WHERE_IT_ACTS = {name for name in PERTURBATIONS if not name.startswith("compat:")}


@pytest.mark.parametrize("name", sorted(WHERE_IT_ACTS))
def test_a_perturbed_episode_is_the_evaluators(checkpoint: Checkpoint, name: str) -> None:
    factor = FACTORS.get(name, 1.3)
    scale = checkpoint.target.scale("dataset-std").numpy()
    env = PerturbedDynamics(make_env("Hopper-v4"), f"{name}={factor}", scale)
    for seed in (3, 4):
        cell = Cell(perturbation=name, factor=factor)
        assert episode(env, checkpoint.target, seed) == measured(checkpoint, cell, seed)


def test_parts_and_compositions_are_the_evaluators(checkpoint: Checkpoint) -> None:
    env = PerturbedDynamics(make_env("Hopper-v4"), "mass@torso=1.4,friction@foot_geom=0.5")
    cell = Cell(perturbation="mass@torso=1.4,friction@foot_geom", factor=0.5)
    assert episode(env, checkpoint.target, 0) == measured(checkpoint, cell, 0)


def test_factors_are_drawn_at_every_reset_and_nothing_compounds() -> None:
    env: Any = PerturbedDynamics(make_env("Hopper-v4"), "mass=0.5:1.5,gravity=0.9")
    nominal = make_env("Hopper-v4").unwrapped.model  # type: ignore[attr-defined]  # a MuJoCo environment
    texts = [env.reset(seed=4)[1]["perturbation"], *(env.reset()[1]["perturbation"] for _ in range(20))]
    factors = [float(text.partition(",")[0].removeprefix("mass=")) for text in texts]
    assert len(set(factors)) > 15
    assert min(factors) >= 0.5
    assert max(factors) <= 1.5
    assert max(factors) - min(factors) > 0.5
    expected = perturbations.parse(texts[-1])(nominal)
    assert np.array_equal(env.unwrapped.model.body_mass, expected.body_mass)
    assert np.array_equal(env.unwrapped.model.opt.gravity, 0.9 * nominal.opt.gravity)
    assert [env.reset(seed=4)[1]["perturbation"], *(env.reset()[1]["perturbation"] for _ in range(3))] == texts[:4]


def test_a_range_leaves_the_start_states_as_they_were() -> None:
    drawn, fixed = PerturbedDynamics(make_env("Hopper-v4"), "mass=0.5:1.5"), make_env("Hopper-v4")
    assert np.array_equal(drawn.reset(seed=9)[0], fixed.reset(seed=9)[0])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mass", "'mass' is no perturbation; write them as"),
        ("mass=2:1", "'mass=2:1' is no perturbation"),
        ("mass=nan", "is no perturbation"),
        ("mas=1.2", "did you mean 'mass'"),
        ("mass@tors=1.2", "did you mean 'torso'"),
        ("mass=-1:1", "a factor must be finite and greater than 0"),
        ("sensor-noise=0.1", "give obs_scale of shape"),
    ],
)
def test_what_cannot_be_perturbed_is_told(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PerturbedDynamics(make_env("Hopper-v4"), text)


def test_an_environment_without_mujoco_is_refused() -> None:
    with pytest.raises(UserError, match="does not run on MuJoCo"):
        PerturbedDynamics(gymnasium.make("Pendulum-v1"), "mass=1.2")


class Maze(gymnasium.Env[Any, Any]):
    """An environment like gymnasium-robotics' mazes: observations in a dictionary, and a robot's environment as a part.

    Where a new episode begins is written into the part at every reset; model and data are shown and cannot be replaced.
    """

    def __init__(self) -> None:
        self.robot: Any = gymnasium.make("InvertedPendulum-v5").unwrapped
        self.action_space = self.robot.action_space
        box = gymnasium.spaces.Box(-np.inf, np.inf, (4,), np.float64)
        self.observation_space = gymnasium.spaces.Dict({"observation": box, "achieved_goal": box})

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.robot.init_qpos[:1] = 0.25
        obs, info = self.robot.reset(seed=seed)
        return {"observation": obs, "achieved_goal": obs}, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.robot.step(action)
        return {"observation": obs, "achieved_goal": obs}, float(reward), terminated, truncated, info


class Shown(Maze):
    """A maze that shows what its robot has."""

    @property
    def model(self) -> Any:
        return self.robot.model

    @property
    def data(self) -> Any:
        return self.robot.data


class Sealed(gymnasium.Env[Any, Any]):
    """Shows a model that nobody can replace."""

    def __init__(self) -> None:
        self._all = [gymnasium.make("InvertedPendulum-v5").unwrapped]

    model = property(lambda self: self._all[0].model)
    data = property(lambda self: self._all[0].data)


@pytest.mark.parametrize("kind", [Maze, Shown])
def test_a_robot_inside_a_maze_is_perturbed(kind: type[Maze]) -> None:
    """Equal to the same maze around a robot whose model was changed by hand."""
    env: Any = PerturbedDynamics(kind(), "mass=2,gravity=0.5:0.5,latency=1")
    by_hand = kind()
    by_hand.robot.model = perturbations.parse("mass=2,gravity=0.5")(by_hand.robot.model)
    by_hand.robot.data = mujoco.MjData(by_hand.robot.model)
    plain = kind()
    late = np.zeros(1, np.float32)
    for seed in (3, 4):
        states = [maze.reset(seed=seed)[0]["observation"] for maze in (env, by_hand, plain)]
        assert np.array_equal(states[0], states[1])
        assert states[0][0] == pytest.approx(0.25, abs=0.02)
        late[:] = 0.0
        for move in np.linspace(-1, 1, 6, dtype=np.float32):
            action = np.array([move])
            states = [maze.step(a)[0]["observation"] for maze, a in ((env, action), (by_hand, late), (plain, late))]
            late = action
            assert np.array_equal(states[0], states[1])
        assert not np.array_equal(states[1], states[2])


def test_what_a_dictionary_of_observations_hides_is_refused_before_an_episode() -> None:
    with pytest.raises(UserError, match=r"are a dictionary, in which sensor-noise disturbs nothing; put .*Flatten"):
        PerturbedDynamics(Maze(), "mass=2,sensor-noise=0.1", np.ones(4))
    flat: Any = PerturbedDynamics(gymnasium.wrappers.FlattenObservation(Maze()), "sensor-noise=0.1", np.ones(8))
    assert flat.reset(seed=0)[0].shape == (8,)


def test_a_model_that_nobody_can_replace_is_refused_before_an_episode() -> None:
    with pytest.raises(UserError, match="does not let its MuJoCo model be replaced: its physics cannot be perturbed"):
        PerturbedDynamics(Sealed(), "mass=2")


@pytest.mark.parametrize("scale", [None, SCALE, SCALE.astype(np.float32), list(SCALE), torch.from_numpy(SCALE)])
def test_a_recorded_wrapper_travels_as_json(scale: Any) -> None:
    text = "mass=0.8:1.2" if scale is None else "mass=0.8:1.2,sensor-noise=0.1"
    env = PerturbedDynamics(gymnasium.make("Hopper-v5"), text, scale)
    assert env.spec is not None
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert np.array_equal(env.reset(seed=5)[0], again.reset(seed=5)[0])
    action = np.full(3, 0.3, np.float32)
    assert np.array_equal(env.step(action)[0], again.step(action)[0])


# ---- both


def attacked(checkpoint: Checkpoint, env: Any) -> Any:
    return ObservationAttack(env, checkpoint.target, "fgsm", 0.1)


def perturbed(env: Any) -> Any:
    return PerturbedDynamics(env, "mass=0.8:1.2,sensor-noise=0.1,latency=1", SCALE)


@pytest.mark.parametrize("kind", ["attacked", "perturbed"])
def test_gymnasium_finds_nothing_but_that_they_are_wrappers(checkpoint: Checkpoint, kind: str) -> None:
    wrap: Callable[[Any], Any] = partial(attacked, checkpoint) if kind == "attacked" else perturbed
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is different from the unwrapped version.*", UserWarning)
        warnings.filterwarnings("ignore", ".*infinity. This is probably too (low|high).*", UserWarning)  # Hopper's own
        check_env(wrap(gymnasium.make("Hopper-v5")), skip_render_check=True)  # which would need a screen


@pytest.mark.parametrize("kind", ["attacked", "perturbed"])
def test_a_step_has_the_five_parts_of_gymnasium(checkpoint: Checkpoint, kind: str) -> None:
    env = attacked(checkpoint, make_env("Hopper-v4")) if kind == "attacked" else perturbed(make_env("Hopper-v4"))
    obs, info = env.reset(seed=0)
    assert obs in env.observation_space
    assert isinstance(info, dict)
    obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert obs in env.observation_space
    assert isinstance(float(reward), float)
    assert {type(terminated), type(truncated)} <= {bool, np.bool_}
    assert isinstance(info, dict)


def test_they_run_in_processes_of_a_vector_environment(checkpoint: Checkpoint) -> None:
    """Two processes give what one gives, through resets of their own; each part is sent by pickle."""
    wrappers: list[Any] = [perturbed, partial(attacked, checkpoint)]
    episodes = []
    for mode in ("sync", "async"):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
            envs = gymnasium.make_vec("Hopper-v5", num_envs=2, vectorization_mode=mode, wrappers=wrappers)
            rows = [envs.reset(seed=3)[0]]
            action = np.random.default_rng(0)
            for _ in range(60):
                rows.append(envs.step(action.uniform(-1, 1, (2, 3)).astype(np.float32))[0])
            envs.close()
        episodes.append(np.stack(rows))
    assert np.array_equal(episodes[0], episodes[1])


def test_a_pickled_copy_is_perturbed_as_well() -> None:
    env: Any = PerturbedDynamics(make_env("Hopper-v4"), "mass=2")
    env.reset(seed=0)
    copy: Any = pickle.loads(pickle.dumps(env))
    copy.reset(seed=0)
    assert np.array_equal(copy.unwrapped.model.body_mass, env.unwrapped.model.body_mass)
    action = np.full(3, 0.3, np.float32)
    assert np.array_equal(copy.step(action)[0], env.step(action)[0])


def test_rendering_shows_the_perturbed_world(tmp_path: Path) -> None:
    env: Any = PerturbedDynamics(gymnasium.make("Hopper-v5", render_mode="rgb_array"), "mass=2")
    env.reset(seed=0)
    renderer = env.unwrapped.mujoco_renderer
    assert renderer.model is env.unwrapped.model
    assert renderer.data is env.unwrapped.data


def test_the_example_of_the_documentation_attacks_and_perturbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "training.md"
    (example,) = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    write_policy(tmp_path / "runs" / "latest" / "policy.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(example, str(page), "exec"), names)
    assert (names["obs"] != names["info"]["clean_obs"]).any()
    assert names["info"]["perturbation"].startswith("mass=")
