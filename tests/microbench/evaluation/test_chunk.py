"""Chunks on the real simulator: equal to a plain Gymnasium loop, and to themselves however they are cut."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from mujoco import MjModel

import perturbations
from attacks import ATTACKS, Target
from microbench.checkpoints import Checkpoint
from microbench.episodes.loop import deterministic_action
from microbench.errors import UserError
from microbench.evaluation import perturbed as worlds
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, Cell, Episode, plan_episodes
from microbench.tasks import find_task, normalized_score
from microbench.tasks.environment import make_env
from reports.rows.results import SCHEMA, check
from tests.microbench.small_run import write_policy

HOPPER = Conditions(env_id="Hopper-v4")
SERVED = [name for name in ATTACKS if not name.startswith("compat:") and name != "v-min"]  # no run of ours has a V(s)
SERVED += ["compat:rorl-min-q-mixed", "compat:sa-ppo-mad", "compat:tirl-min-q", "pgd@foot_joint", "pgd(draw=corner)"]
CELLS = [
    CLEAN,
    *(Cell(attack=name, eps=0.3) for name in SERVED),
    Cell(perturbation="mass", factor=0.5),
    Cell(perturbation="friction", factor=1.5),
    Cell(attack="pgd", eps=0.1, perturbation="gravity", factor=1.2),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_policy(tmp_path_factory.mktemp("policy") / "policy.safetensors")


def run(checkpoint: Checkpoint, episodes: list[Episode], conditions: Conditions = HOPPER) -> pd.DataFrame:
    """Rows of episodes under any attacks, one chunk per attack, in the order given."""
    names = dict.fromkeys(episode.cell.attack for episode in episodes)
    groups = [tuple(episode for episode in episodes if episode.cell.attack == name) for name in names]
    return pd.concat([evaluate_chunk(checkpoint, conditions, group) for group in groups], ignore_index=True)


def outcomes(rows: pd.DataFrame) -> dict[Any, Any]:
    """(cell, episode) → what came of it."""
    keys = zip(*(rows[name] for name in ("attack", "eps", "perturbation", "factor", "episode")), strict=True)
    values = zip(*(rows[name] for name in ("return", "length", "flags")), strict=True)
    return dict(zip(keys, values, strict=True))


@pytest.fixture(scope="module")
def measured(checkpoint: Checkpoint) -> pd.DataFrame:
    """Two episodes of every cell, seeded from 0, in one chunk per attack."""
    return run(checkpoint, plan_episodes(CELLS, 2, seed=0))


def only(cell: Cell, episodes: int = 3) -> list[Episode]:
    return plan_episodes([cell], episodes, seed=0)


def test_clean_rows_equal_a_plain_gymnasium_loop(checkpoint: Checkpoint) -> None:
    rows = run(checkpoint, plan_episodes([CLEAN], 4, seed=3))
    env = make_env("Hopper-v4")
    for seed, expected, steps in zip(rows["eval_seed"], rows["return"], rows["length"], strict=True):
        obs, total, length, over = env.reset(seed=seed)[0], 0.0, 0, False
        while not over:
            action = deterministic_action(checkpoint.target.policy, torch.from_numpy(obs).float()[None])[0]
            obs, reward, terminated, truncated, _ = env.step(np.clip(action, -1, 1))
            total, length, over = total + float(reward), length + 1, terminated or truncated
        assert (expected, steps) == (total, length)
    env.close()
    assert rows["eval_seed"].tolist() == [3, 4, 5, 6]
    assert rows["episode"].tolist() == [0, 1, 2, 3]
    assert rows["return"].nunique() == 4


def test_a_row_says_all_that_made_it(checkpoint: Checkpoint) -> None:
    rows = run(checkpoint, only(Cell(attack="fgsm", eps=0.25)), Conditions(env_id="Hopper-v4", unit="raw", norm="l2"))
    assert list(rows.columns) == list(SCHEMA)
    row = check(rows).iloc[0].to_dict()
    row = {name: row[name] for name in SCHEMA if name not in ("return", "length", "score")}
    assert row == {
        "algorithm": "micro",
        "dataset": "toy",
        "train_seed": 0,
        "checkpoint": checkpoint.sha256,
        "task": "Hopper-v4",
        "attack": "fgsm",
        "eps": 0.25,
        "unit": "raw",
        "norm": "l2",
        "perturbation": "none",
        "factor": 1.0,
        "nominal": 1.0,
        "episode": 0,
        "eval_seed": 0,
        "flags": "",
        "recipe": "",
        "attack_files": "",
        "perturbation_files": "",
    }
    assert rows["score"].to_numpy() == pytest.approx((rows["return"].to_numpy() + 20.272305) / 32.545724)


@pytest.mark.parametrize(("pieces", "reverse"), [(1, True), (5, True), (1000, False)])
def test_rows_do_not_depend_on_chunks_or_order(
    checkpoint: Checkpoint, measured: pd.DataFrame, pieces: int, reverse: bool
) -> None:
    """All cells in one chunk per attack, against single rows, against shuffled pieces: bit for bit."""
    planned = plan_episodes(CELLS, 2, seed=0)
    shuffled = [planned[index] for index in np.random.default_rng(pieces).permutation(len(planned))]
    parts = [shuffled[start::pieces] for start in range(min(pieces, len(shuffled)))]
    cut = pd.concat([run(checkpoint, part) for part in (parts[::-1] if reverse else parts)])
    assert outcomes(cut) == outcomes(measured)


def test_the_same_plan_twice_gives_the_same_rows_and_another_seed_does_not(
    checkpoint: Checkpoint, measured: pd.DataFrame
) -> None:
    pd.testing.assert_frame_equal(run(checkpoint, plan_episodes(CELLS, 2, seed=0)), measured, check_exact=True)
    other = run(checkpoint, plan_episodes(CELLS, 1, seed=2))
    assert not set(measured["return"]) & set(other["return"])


def test_eps_0_and_factor_1_are_the_clean_rows_bit_for_bit(checkpoint: Checkpoint) -> None:
    clean = run(checkpoint, only(CLEAN, 2))
    same = [
        *(Cell(attack=name, eps=0.0) for name in SERVED),
        *(Cell(perturbation=name, factor=record.nominal) for name, record in perturbations.PERTURBATIONS.items()),
        Cell(attack="pgd", eps=0.0, perturbation="mass", factor=1.0),
    ]
    for cell in same:
        rows = run(checkpoint, only(cell, 2))
        assert rows["return"].tolist() == clean["return"].tolist(), cell
        assert rows["flags"].tolist() == [""] * 2


def test_every_condition_changes_something(measured: pd.DataFrame) -> None:
    returns = measured.groupby(["attack", "eps", "perturbation", "factor"])["return"].apply(tuple)
    assert len(returns) == len(CELLS)
    clean = returns["none", 0.0, "none", 1.0]
    for cell in CELLS[1:]:
        assert returns[cell.attack, cell.eps, cell.perturbation, cell.factor] != clean, cell


def test_the_unit_and_the_norm_of_the_budget_count(checkpoint: Checkpoint) -> None:
    cell = only(Cell(attack="random", eps=0.2))
    balls = itertools.product(("raw", "range"), ("linf", "l2"), (False, True))
    rows = [
        run(checkpoint, cell, Conditions(env_id="Hopper-v4", unit=unit, norm=norm, in_range=in_range))
        for unit, norm, in_range in balls
    ]
    assert len({tuple(table["return"]) for table in rows}) == 8
    assert [table["norm"].iloc[-1] for table in rows[:4]] == ["linf", "linf,in-range", "l2", "l2,in-range"]


def nothing(factor: float) -> perturbations.Perturbation:
    """A perturbation that perturbs nothing."""

    def perturbed(model: MjModel) -> MjModel:
        return perturbations.mass(1.0)(model)

    return perturbed


def test_a_perturbation_that_changes_nothing_is_flagged(checkpoint: Checkpoint) -> None:
    name = f"{__name__}:nothing"
    assert run(checkpoint, only(Cell(perturbation=name, factor=0.5)))["flags"].tolist() == ["no-op-cell"] * 3
    assert run(checkpoint, only(Cell(perturbation=name, factor=1.0)))["flags"].tolist() == [""] * 3


def test_flags_are_joined(checkpoint: Checkpoint) -> None:
    generator = torch.Generator().manual_seed(0)
    scale = checkpoint.target.obs_scale
    dice = Target(policy=lambda obs: torch.rand(len(obs), 3, generator=generator), obs_scale=scale)
    rolled = dataclasses.replace(checkpoint, target=dice)
    rows = run(rolled, only(Cell(perturbation=f"{__name__}:nothing", factor=0.5)))
    assert rows["flags"].tolist() == ["stochastic-policy;no-op-cell"] * 3
    lost = dataclasses.replace(checkpoint, target=Target(policy=lambda obs: obs[:, :3] * torch.nan, obs_scale=scale))
    assert check(run(lost, only(CLEAN)))["flags"].tolist() == ["nan-action"] * 3


def test_a_policy_of_another_robot_is_refused_and_of_another_version_is_not(checkpoint: Checkpoint) -> None:
    with pytest.raises(UserError, match=r"Hopper-v4 with 11 observations, Walker2d-v4 has 17") as caught:
        run(checkpoint, only(CLEAN), Conditions(env_id="Walker2d-v4"))
    assert "\n" not in str(caught.value)
    assert run(checkpoint, only(CLEAN), Conditions(env_id="Hopper-v5"))["task"].tolist() == ["Hopper-v5"] * 3


def test_a_task_that_only_gymnasium_simulates(tmp_path: Path) -> None:
    """Humanoid has no exact record: the fallback gives the same rows however they are cut, too."""
    checkpoint = write_policy(tmp_path / "policy.safetensors", "Humanoid-v4")
    conditions = Conditions(env_id="Humanoid-v4")
    planned = plan_episodes([CLEAN, Cell(perturbation="mass", factor=0.8)], 2, seed=0)
    together = run(checkpoint, planned, conditions)
    single = pd.concat([run(checkpoint, [episode], conditions) for episode in planned])
    assert outcomes(together) == outcomes(single)
    assert together["return"].nunique() == 4


def test_models_are_made_once_per_cell(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    factors: list[float] = []
    original = perturbations.mass

    def counted(factor: float) -> perturbations.Perturbation:
        factors.append(factor)
        return original(factor)

    record = dataclasses.replace(perturbations.PERTURBATIONS["mass"], make=counted)
    monkeypatch.setitem(perturbations.PERTURBATIONS, "mass", record)
    worlds.world.cache_clear()
    for _ in range(2):
        run(checkpoint, plan_episodes([Cell(perturbation="mass", factor=f) for f in (0.7, 0.9)], 3, seed=0))
    assert factors == [0.7, 0.9]


def test_threads_are_given_back(checkpoint: Checkpoint) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(checkpoint, only(CLEAN))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_reference_scores_are_used(checkpoint: Checkpoint) -> None:
    rows = run(checkpoint, only(CLEAN))
    expected = normalized_score(find_task("Hopper-v4"), rows["return"].to_numpy())
    assert rows["score"].tolist() == expected.tolist()
