"""Online SAC whose replay buffer becomes a dataset: what is in an episode, and when a run ends."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
import torch

from microbench.data.d4rl import read_d4rl, write_d4rl
from microbench.errors import UserError
from microbench.learning.agent import Agent, AgentConfig
from microbench.learning.collect import CollectConfig, Progress, collect
from microbench.tasks.environment import make_env

ENV = "InvertedPendulum-v4"  # falls within a few dozen steps of random actions
Arrays = dict[str, npt.NDArray[np.float32]]


def config(**changes: Any) -> CollectConfig:
    settings: dict[str, Any] = {
        "env_id": ENV,
        "steps": 120,
        "random_steps": 80,
        "batch": 8,
        "evaluate_every": 20,
        "agent": AgentConfig(hidden=(8, 8), max_alpha=None, clamp_target=False),
    }
    return CollectConfig(**(settings | changes))


def run(**changes: Any) -> tuple[list[Arrays], list[Progress]]:
    reports: list[Progress] = []
    scores = changes.pop("scores", {})

    def score(agent: Agent, episodes: int) -> float:
        assert episodes == 10
        return float(scores.get(len(reports), 0.0))

    return collect(config(**changes), score, reports.append), reports


def test_the_default_is_plain_sac() -> None:
    """Equal learning rates of 3e-4, a free temperature, targets that may be negative."""
    plain = CollectConfig().agent
    assert (plain.actor_lr, plain.critic_lr, plain.alpha_lr) == (3e-4, 3e-4, 3e-4)
    assert plain.max_alpha is None
    assert not plain.clamp_target


def test_episodes_hold_every_step_in_order() -> None:
    episodes, _ = run()
    lengths = [len(episode["rewards"]) for episode in episodes]
    assert sum(lengths) == 120
    assert len(lengths) > 3
    for episode, length in zip(episodes, lengths, strict=True):
        assert episode["observations"].shape == (length + 1, 4)
        assert episode["actions"].shape == (length, 1)
        assert all(array.dtype == np.float32 for array in episode.values())
    flags = [(bool(episode["terminal"]), bool(episode["timeout"])) for episode in episodes]
    assert flags[:-1] == [(True, False)] * (len(episodes) - 1)
    assert flags[-1] in ((False, True), (True, False))


def test_episodes_are_what_the_environment_does() -> None:
    """The recorded actions, replayed in Gymnasium from the same seed, give the recorded states and rewards."""
    episodes, _ = run()
    env = make_env(ENV)
    obs, _ = env.reset(seed=0)
    for episode in episodes:
        assert np.array_equal(episode["observations"][0], obs.astype(np.float32))
        for step, action in enumerate(episode["actions"]):
            obs, reward, terminated, _, _ = env.step(action)
            assert np.array_equal(episode["observations"][step + 1], obs.astype(np.float32))
            assert episode["rewards"][step] == np.float32(reward)
            assert terminated == (bool(episode["terminal"]) and step == len(episode["actions"]) - 1)
        obs, _ = env.reset()
    env.close()


def test_time_limits_are_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microbench.learning.collect.make_env", lambda env_id: make_env(env_id, horizon=3))
    episodes, _ = run(env_id="Swimmer-v4", steps=20)  # which never falls
    flags = [(len(e["rewards"]), bool(e["terminal"]), bool(e["timeout"])) for e in episodes]
    assert flags == [(3, False, True)] * 6 + [(2, False, True)]  # the last one is cut by the end of the run


def test_the_policy_acts_after_the_random_steps() -> None:
    """Random actions fill the action box; an untrained policy's do not follow the same draws."""
    all_random, _ = run(random_steps=120)
    some, _ = run(random_steps=80)
    first, second = (np.concatenate([episode["actions"] for episode in e])[:, 0] for e in (all_random, some))
    assert np.array_equal(first[:80], second[:80])
    assert (first[80:] != second[80:]).all()
    assert np.abs(second).max() <= 3.0  # the task's bound
    assert np.abs(first).max() > 2.5


def test_learning_starts_after_the_random_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """One update per environment step from then on, on logged rows only."""
    seen = []
    update = Agent.update

    def spy(self: Agent, batch: Any, values: Any) -> torch.Tensor:
        seen.append((len(batch.rows), batch.real))
        return update(self, batch, values)

    monkeypatch.setattr(Agent, "update", spy)
    run(steps=100, random_steps=70)
    assert seen == [(8, 8)] * 30


def test_evaluations() -> None:
    _, reports = run(steps=150)
    assert [progress.step for progress in reports] == [100, 120, 140]


def test_a_run_ends_when_the_score_is_reached() -> None:
    """Second evaluation: 41 ≥ 40. The episode that runs then is cut."""
    episodes, reports = run(steps=1000, until_score=40.0, scores={0: 39.9, 1: 41.0})
    assert reports == [Progress(step=100, score=39.9), Progress(step=120, score=41.0)]
    assert sum(len(episode["rewards"]) for episode in episodes) == 120
    assert bool(episodes[-1]["terminal"]) != bool(episodes[-1]["timeout"])


def test_a_run_to_a_score_repeats_as_a_run_of_so_many_steps() -> None:
    """The recorded command of a bundled dataset relies on these defaults."""
    by_score, _ = run(steps=1000, until_score=40.0, scores={0: 41.0})
    by_steps, _ = run(steps=100)
    assert len(by_score) == len(by_steps)
    for one, other in zip(by_score, by_steps, strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_runs_follow_from_their_seed_alone() -> None:
    torch.manual_seed(1)
    first, _ = run()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again, _ = run()
    assert torch.get_rng_state().equal(before)
    other, _ = run(seed=1)
    assert [e["actions"].tolist() for e in first] == [e["actions"].tolist() for e in again]
    assert [e["actions"].tolist() for e in first] != [e["actions"].tolist() for e in other]


def test_an_episode_becomes_rows_of_a_dataset(tmp_path: Path) -> None:
    episodes, _ = run()
    path = tmp_path / "pendulum.hdf5"
    write_d4rl(path, episodes, {})
    data = read_d4rl(path, env_id=ENV, rows="strict")
    assert len(data) == 120
    assert np.array_equal(data.next_obs, np.concatenate([episode["observations"][1:] for episode in episodes]))
    assert data.terminal.sum() == sum(bool(episode["terminal"]) for episode in episodes)


def test_tasks_that_are_not_continuous_control() -> None:
    assert "CartPole-v1" in gymnasium.registry
    with pytest.raises(UserError, match="must be vectors of real numbers"):
        run(env_id="CartPole-v1")
