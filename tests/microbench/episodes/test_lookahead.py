"""Attacks that look ahead on the real simulator: against Gymnasium itself, and against their own promises."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import reports
from attacks import ATTACKS, Memory, Noise, Oracle, Target, Threat, World
from attacks.searches.oracle import Constant, directions
from microbench.checkpoints import Checkpoint
from microbench.episodes.lookahead import Lookahead
from microbench.episodes.loop import deterministic_action, run_episodes
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, Cell, Episode, plan_episodes
from microbench.numerics.rows import one_thread
from microbench.rendering.recording import record
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import find_task
from microbench.tasks.environment import make_env
from tests.microbench.small_run import Shell, write_policy

HOPPER = Conditions(env_id="Hopper-v4")
SMALL = "oracle(candidates=3,horizon=2)"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return write_policy(tmp_path_factory.mktemp("policy") / "policy.safetensors")


def run(checkpoint: Checkpoint, cell: Cell, episodes: int = 3, conditions: Conditions = HOPPER) -> pd.DataFrame:
    return evaluate_chunk(checkpoint, conditions, tuple(plan_episodes([cell], episodes, 0)))


class Watched:
    """Points of the ball and their copies' first rewards, as an attack that plays the best of them."""

    def __init__(self, points: Tensor, steps: int) -> None:
        self.points, self.steps = points, steps
        self.at: list[tuple[Tensor, Tensor]] = []

    def in_world(self, world: World) -> Any:
        return partial(self.search, world)

    def search(self, world: World, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        n = len(self.points)
        seen = (obs.unsqueeze(1) + self.points).flatten(0, 1)
        fork, paid = world.fork(n), torch.zeros(len(obs) * n, dtype=torch.float64)
        for _ in range(self.steps):
            here, reward, _ = fork.step(seen)
            paid, seen = paid + reward, here
        self.at.append((obs.clone(), paid.reshape(-1, n)))
        return obs + self.points[paid.reshape(-1, n).argmin(1)]


@pytest.mark.parametrize(("env_id", "steps"), [("Hopper-v4", 1), ("Hopper-v4", 40), ("Walker2d-v5", 4)])
def test_copies_earn_what_gymnasium_pays(tmp_path: Path, env_id: str, steps: int) -> None:
    """Every candidate of every step tried in Gymnasium as well, put there by `set_state`."""
    checkpoint, task = write_policy(tmp_path / "policy.safetensors", env_id), find_task(env_id)
    points = 0.3 * torch.randn(5, task.obs_size, generator=torch.Generator().manual_seed(0))
    attack: Any = Watched(points, steps)
    simulator = make_simulator(task, [nominal_model(task)])
    threat = Threat(eps=10.0, scale=torch.ones(task.obs_size), unit="raw")
    world = Lookahead(checkpoint.target, simulator)
    with one_thread():
        run_episodes(checkpoint.target, simulator, [7], attack, threat, look=world)
        env, copy = make_env(env_id), make_env(env_id)
        obs, over, step = env.reset(seed=7)[0], False, 0
        while not over:
            copy.reset(seed=0)
            paid = [tried(env, copy, checkpoint.target, obs, point, steps) for point in points]
            shown, rewards = attack.at[step]
            assert np.array_equal(shown[0], obs.astype(np.float32))
            assert rewards[0].tolist() == pytest.approx(paid, abs=1e-9)
            best = points[int(np.argmin(paid))]
            obs, _, terminated, truncated, _ = env.step(acted(checkpoint.target, obs, best))
            over, step = terminated or truncated, step + 1
    assert step == len(attack.at) > 5


def acted(target: Target, obs: Any, change: Tensor | float) -> Any:
    seen = torch.from_numpy(obs).float()[None] + change
    return np.clip(deterministic_action(target.policy, seen)[0], -1, 1)


def tried(env: Any, copy: Any, target: Target, obs: Any, point: Tensor, steps: int) -> float:
    """What Gymnasium pays in so many steps from where `env` is, the first of which is attacked."""
    mine, theirs = env.unwrapped.data, copy.unwrapped.data
    copy.unwrapped.set_state(mine.qpos, mine.qvel)
    theirs.qacc_warmstart[:], theirs.time = mine.qacc_warmstart, mine.time
    paid, change = 0.0, point
    for _ in range(steps):
        obs, reward, terminated, _, _ = copy.unwrapped.step(acted(target, obs, change))
        paid, change = paid + float(reward), torch.zeros_like(point)
        if terminated:
            break
    return paid


@pytest.mark.parametrize("env_id", ["Hopper-v4", "Humanoid-v5"])
def test_looking_ahead_leaves_the_world_alone(tmp_path: Path, env_id: str) -> None:
    policy = write_policy(tmp_path / "policy.safetensors", env_id)
    conditions = Conditions(env_id=env_id)
    columns = ["return", "length", "flags"]
    clean = run(policy, CLEAN, conditions=conditions)[columns]
    attacked = run(policy, Cell(attack=SMALL, eps=0.0), conditions=conditions)[columns]
    pd.testing.assert_frame_equal(attacked, clean, check_exact=True)


def test_tried_to_the_end_it_leaves_no_more_than_what_goes_on_in_its_copies(checkpoint: Checkpoint) -> None:
    """One step of improvement over fgsm, the clean run and constant changes, all of which draw nothing."""
    fgsm, eps = ATTACKS["fgsm"], 0.3
    full = Oracle(candidates=4, horizon=1000, bootstrap=False, cheap=(fgsm,))
    with_oracle = returns(checkpoint, full, eps)
    for other in (fgsm, None, *(Constant(direction=row) for row in directions(2, 11))):
        assert (with_oracle <= returns(checkpoint, other, eps) + 1e-9).all()
    assert (with_oracle < returns(checkpoint, fgsm, eps) - 0.1).any()


def returns(checkpoint: Checkpoint, attack: Any, eps: float, seeds: tuple[int, ...] = (0, 1, 2)) -> Any:
    task = find_task("Hopper-v4")
    simulator = make_simulator(task, [nominal_model(task)] * len(seeds))
    threat = Threat(eps=eps, scale=checkpoint.target.scale("dataset-std"))
    look = Lookahead(checkpoint.target, simulator)
    with one_thread():
        return run_episodes(checkpoint.target, simulator, seeds, attack, threat, look=look).returns


def test_rows_are_the_same_however_they_are_cut(checkpoint: Checkpoint) -> None:
    cells = [Cell(attack=SMALL, eps=eps, perturbation="mass", factor=1.2) for eps in (0.1, 0.3)]
    episodes = plan_episodes(cells, 1, 0)
    together = evaluate_chunk(checkpoint, HOPPER, tuple(episodes))
    alone = [evaluate_chunk(checkpoint, HOPPER, (episode,)) for episode in reversed(episodes)]
    pd.testing.assert_frame_equal(together, pd.concat(alone[::-1], ignore_index=True), check_exact=True)


def test_a_recurrent_policy_remembers_in_copies_too(checkpoint: Checkpoint) -> None:
    """A policy that adds up what it was shown: after 5 copied steps it must stand where the real rows stand."""
    own = checkpoint.target
    memory = Memory(start=torch.zeros(11), advance=lambda seen, obs: seen[:, 11:] + seen[:, :11])
    target = dataclasses.replace(
        own, policy=lambda obs: own.policy(obs[:, :11] + 0.01 * obs[:, 11:]), critic=None, memory=memory
    )
    task = find_task("Hopper-v4")
    simulator = make_simulator(task, [nominal_model(task)] * 2)
    threat = Threat(eps=0.0, scale=torch.cat([torch.ones(11), torch.zeros(11)]))
    attack: Any = Watched(torch.zeros(1, 22), steps=3)
    with one_thread():
        run_episodes(target, simulator, [0, 1], attack, threat, look=Lookahead(target, simulator))
        plain = make_simulator(task, [nominal_model(task)] * 2)
        obs, memories, ids, rewards = plain.reset([0, 1]), torch.zeros(2, 11), np.arange(2), []
        for shown, _ in attack.at[:4]:
            assert torch.equal(shown, torch.cat([torch.from_numpy(obs).float(), memories], 1))
            action = np.clip(deterministic_action(target.policy, shown), -1, 1)
            memories = memories + torch.from_numpy(obs).float()
            obs, reward, _, _ = plain.step(action, ids)
            rewards.append(reward)
    assert np.array_equal(attack.at[0][1][:, 0], np.sum(rewards[:3], axis=0))


def test_a_recorded_episode_is_the_measured_one(checkpoint: Checkpoint) -> None:
    cell = Cell(attack=SMALL, eps=0.2)
    shown = record(checkpoint, HOPPER, cell, seed=4)
    measured = evaluate_chunk(checkpoint, HOPPER, (Episode(cell=cell, number=0, seed=4),))
    assert shown.row["return"] == measured["return"].iloc[0]


def test_a_table_says_how_far_an_attack_is_from_it(checkpoint: Checkpoint) -> None:
    cells = [CLEAN, Cell(attack="fgsm", eps=0.3), Cell(attack=SMALL, eps=0.3)]
    clean, fgsm, oracle = (run(checkpoint, cell, episodes=2) for cell in cells)
    (gap,) = reports.gap_numbers(pd.concat([clean, fgsm, oracle], ignore_index=True)).to_dict("records")
    assert (gap["attack"], gap["oracle"], gap["n"]) == ("fgsm", SMALL, 2)
    assert gap["gap"] == pytest.approx((fgsm["score"] - oracle["score"]).mean())


def test_the_command_line_refuses_in_a_sentence(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    late = ("--perturbation", "latency=1", "--eps", 0.3, "--attack", SMALL, "--quiet", "--workers", 1)
    assert Shell(monkeypatch, capsys)("perturb", checkpoint.path, *late, "--out", tmp_path).is_one_sentence


def test_worlds_that_cannot_be_copied_are_refused_in_a_sentence(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="perturb the physics alone"):
        run(checkpoint, Cell(attack=SMALL, eps=0.1, perturbation="latency", factor=1))
    reacher = write_policy(tmp_path / "policy.safetensors", "Reacher-v4")
    with pytest.raises(UserError, match="'Reacher-v4' runs in Gymnasium itself"):
        run(reacher, Cell(attack=SMALL, eps=0.1), conditions=Conditions(env_id="Reacher-v4"))
