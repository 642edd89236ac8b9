"""What a cell makes of a task: equal to a plain Gymnasium loop with the same model, signals and pushes, bit for bit."""

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from mujoco import MjData

import perturbations
from microbench.checkpoints import Checkpoint
from microbench.episodes.loop import deterministic_action
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.perturbed import effects, world
from microbench.evaluation.plan import CLEAN, Cell, plan_episodes
from microbench.numerics.rows import one_thread
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import TASKS
from microbench.tasks.environment import make_env
from perturbations import PERTURBATIONS
from reports.rows.schema import SCHEMA
from tests.microbench.small_run import write_policy

HOPPER = TASKS["Hopper-v4"]
EVERYTHING = "mass=1.2,gravity=0.9,sensor-noise=0.02,sensor-bias=0.05,latency=1,action-noise=0.1,push"
FACTOR = {name: 1.0 if name == "latency" else 0.3 for name in PERTURBATIONS}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_policy(tmp_path_factory.mktemp("policy") / "policy.safetensors")


def plain_loop(checkpoint: Checkpoint, cell: Cell, seed: int) -> tuple[float, int]:
    """The return and the length of one episode, written out on Gymnasium's own environment."""
    change = perturbations.build(cell.perturbation, cell.factor)
    env: Any = make_env("Hopper-v4")
    inner = env.unwrapped
    inner.model = change.physics(nominal_model(HOPPER))
    inner.data = MjData(inner.model)
    signals = [
        disturbance(
            perturbations.Setting(
                model=inner.model,
                obs_scale=checkpoint.target.scale("dataset-std").double().numpy(),
                action_low=np.full(3, -1, np.float32),
                action_high=np.full(3, 1, np.float32),
                dt=0.008,
                rng=np.random.default_rng(np.random.SeedSequence((seed, 2, zlib.crc32(name.encode())))),
            )
        )
        for name, disturbance in change.disturbances
    ]
    obs, total, length, over = env.reset(seed=seed)[0], 0.0, 0, False
    while not over:
        for one in signals:
            obs = one.seen(obs)
        action = deterministic_action(checkpoint.target.policy, torch.from_numpy(obs).float()[None])[0]
        action = np.clip(action, -1, 1)
        for one in signals:
            action = one.executed(action)
        pushes = [push for one in signals if (push := one.wrench()) is not None]
        inner.data.xfrc_applied[:] = sum(pushes) if pushes else 0
        obs, reward, terminated, truncated, _ = env.step(action)
        total, length, over = total + float(reward), length + 1, terminated or truncated
    env.close()
    return total, length


@pytest.mark.parametrize(
    "cell",
    [
        Cell(perturbation=EVERYTHING, factor=0.3),
        Cell(perturbation="sensor-dropout", factor=0.5),
        Cell(perturbation="latency", factor=3),
    ],
    ids=lambda cell: cell.perturbation.rpartition(",")[2],
)
def test_a_disturbed_cell_equals_a_plain_gymnasium_loop(checkpoint: Checkpoint, cell: Cell) -> None:
    rows = evaluate_chunk(checkpoint, Conditions(env_id="Hopper-v4"), tuple(plan_episodes([CLEAN, cell], 3, seed=5)))
    disturbed = rows[rows["perturbation"] != "none"]
    with one_thread():
        expected = [plain_loop(checkpoint, cell, seed) for seed in disturbed["eval_seed"]]
    assert list(zip(disturbed["return"], disturbed["length"], strict=True)) == expected
    assert (disturbed["return"].to_numpy() != rows[rows["perturbation"] == "none"]["return"].to_numpy()).all()
    assert (disturbed["flags"] == "").all()


@pytest.mark.parametrize("name", sorted(PERTURBATIONS))
def test_the_nominal_factor_gives_the_clean_rows_bit_for_bit(checkpoint: Checkpoint, name: str) -> None:
    cell = Cell(perturbation=name, factor=PERTURBATIONS[name].nominal)
    rows = evaluate_chunk(checkpoint, Conditions(env_id="Hopper-v4"), tuple(plan_episodes([CLEAN, cell], 2, seed=0)))
    clean, same = rows[:2], rows[2:]
    for column in ("return", "length", "score", "flags"):
        assert clean[column].tolist() == same[column].tolist()
    assert (same["factor"] == same["nominal"]).all()
    assert list(rows.columns) == list(SCHEMA)


@pytest.mark.parametrize("name", sorted(PERTURBATIONS))
def test_every_perturbation_changes_the_episodes_or_is_flagged(checkpoint: Checkpoint, name: str) -> None:
    cell = Cell(perturbation=name, factor=FACTOR[name])
    rows = evaluate_chunk(checkpoint, Conditions(env_id="Hopper-v4"), tuple(plan_episodes([CLEAN, cell], 4, seed=0)))
    moved = rows["return"][:4].to_numpy() != rows["return"][4:].to_numpy()
    flagged = np.array(["no-op-cell" in flags for flags in rows["flags"][4:]])
    assert (moved | flagged).all()
    assert (flagged == flagged[0]).all() or name == "sensor-dropout"


@pytest.mark.parametrize("env_id", sorted(env_id for env_id, task in TASKS.items() if task.physics is not None))
def test_each_perturbation_of_each_task_moves_the_world_or_is_known_to_change_nothing(env_id: str) -> None:
    """Both ways: what is said to change something does, and what is said to change nothing gives the same bits."""
    task = TASKS[env_id]
    refused = {"compat:micro-gravity"} if not env_id.startswith(("Hopper", "Walker2d", "HalfCheetah")) else set()
    refused |= {"compat:rrls-friction"} if env_id.startswith("InvertedPendulum") else set()  # it has no floor
    for name in refused:
        with pytest.raises(ValueError, match=r"use (gravity|friction)"):
            world(task, name, 0.5)
    names = [name for name, parameter in PERTURBATIONS.items() if not parameter.disturbs and name not in refused]
    worlds = [world(task, "none", 1.0), *(world(task, name, FACTOR[name]) for name in names)]
    simulator = make_simulator(task, [at.model for at in worlds])
    ids, rng = np.arange(len(worlds)), np.random.default_rng(0)
    moved = np.zeros(len(worlds), np.bool_)
    obs = simulator.reset([0] * len(worlds))
    for _ in range(40):
        moved |= (obs != obs[0]).any(axis=1)
        action = rng.uniform(simulator.action_low, simulator.action_high).astype(np.float32)
        obs = simulator.step(np.tile(action, (len(worlds), 1)), ids)[0]
    changed = [bool(at.effect) for at in worlds[1:]]
    assert dict(zip(names, moved[1:].tolist(), strict=True)) == dict(zip(names, changed, strict=True))


def test_a_disturbance_that_never_came_is_flagged_per_episode(checkpoint: Checkpoint) -> None:
    """A push comes once in two seconds; these episodes are over sooner, unless it comes early."""
    n, cell = 150, Cell(perturbation="push", factor=1.0)
    rows = evaluate_chunk(checkpoint, Conditions(env_id="Hopper-v4"), tuple(plan_episodes([CLEAN, cell], n, seed=0)))
    same = rows["return"][:n].to_numpy() == rows["return"][n:].to_numpy()
    assert 0 < same.sum() < n
    assert [flags == "no-op-cell" for flags in rows["flags"][n:]] == same.tolist()


def test_effects_say_what_changed() -> None:
    cells = [CLEAN, Cell(perturbation="gravity", factor=0.5), Cell(perturbation="gravity=2,latency", factor=1)]
    half, twice = effects(HOPPER, cells)
    assert half == {"perturbation": "gravity", "factor": 0.5, "physics": {"opt.gravity": 9.81 / 2}, "signals": []}
    assert twice["physics"] == {"opt.gravity": 9.81}
    assert twice["signals"] == ["latency"]


def test_a_no_op_is_known_by_its_physics_and_its_signals() -> None:
    assert world(HOPPER, "friction@floor", 0.5).effect == {}
    assert not world(HOPPER, "friction@floor", 0.5).is_nominal
    assert world(HOPPER, "mass=1,friction", 1.0).is_nominal
    assert not world(HOPPER, "mass=1.1,friction", 1.0).is_nominal


def test_noise_is_the_same_at_every_factor_and_in_every_composition(checkpoint: Checkpoint) -> None:
    """Two factors of one disturbance differ in size, not in draws: the first observation moves in proportion."""
    shown: list[np.ndarray[Any, Any]] = []

    def spy(obs: torch.Tensor) -> torch.Tensor:
        shown.append(obs.numpy().copy())
        return checkpoint.target.policy(obs)

    spied = replace(checkpoint, target=replace(checkpoint.target, policy=spy))
    first = []
    bias = Cell(perturbation="sensor-bias", factor=0.1)
    for cell in (CLEAN, bias, replace(bias, factor=0.2), replace(bias, perturbation="mass=1.1,sensor-bias")):
        shown.clear()
        evaluate_chunk(spied, Conditions(env_id="Hopper-v4"), tuple(plan_episodes([cell], 1, seed=0)))
        first.append(shown[0][0])
    none, small, large, composed = first
    assert np.abs(large - none) == pytest.approx(2 * np.abs(small - none), rel=1e-3)
    assert np.array_equal(small, composed)
