"""What critics are fitted to: episodes as Gymnasium runs them, and the rows of datasets in order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from attacks import Target
from microbench.checkpoints import load
from microbench.critics import METHODS, Fit, fit
from microbench.critics.judging import of_actions
from microbench.critics.rollouts import roll_out
from microbench.critics.steps import of_dataset, returns_to_go
from microbench.episodes.returns import clean_returns
from microbench.tasks import find_task
from microbench.tasks.environment import make_env
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.critics.chains import chain
from tests.microbench.small_run import write_policy
from tests.microbench.toys import dataset

HOPPER = find_task("Hopper-v4")


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return write_policy(tmp_path_factory.mktemp("victim") / "policy.safetensors").target


def test_recorded_steps_are_those_of_gymnasium(victim: Target) -> None:
    steps = roll_out(victim, HOPPER, [5, 6], (0.0, 0.3))
    env, row = make_env("Hopper-v4"), 0
    for seed, length in zip((5, 6), steps.lengths.tolist(), strict=True):
        obs, _ = env.reset(seed=seed)
        for time in range(length):
            assert steps.times[row] == time
            np.testing.assert_allclose(steps.obs[row], obs, atol=1e-5)
            obs, reward, terminated, truncated, _ = env.step(steps.action[row].numpy())
            np.testing.assert_allclose(steps.next_obs[row], obs, atol=1e-5)
            assert float(steps.reward[row]) == pytest.approx(float(reward), abs=1e-5)
            assert bool(steps.terminal[row]) == terminated
            row += 1
        assert terminated or truncated
    env.close()
    assert row == len(steps)


def test_noise_goes_round_and_an_episode_without_it_is_the_policys_own(victim: Target) -> None:
    steps = roll_out(victim, HOPPER, range(4), (0.0, 0.5))
    own = victim.policy(steps.obs).detach()
    ends = steps.lengths.cumsum(0).tolist()
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        difference = (steps.action - own)[start:end].abs().max()
        assert difference > 0.1 if number % 2 else difference < 1e-6
    alone = roll_out(victim, HOPPER, range(3))
    ends = alone.lengths.cumsum(0).tolist()
    sums = [float(alone.reward[start:end].sum()) for start, end in zip([0, *ends], ends, strict=False)]
    np.testing.assert_allclose(sums, clean_returns(victim.policy, HOPPER, 3, 0), rtol=1e-5)


def test_the_successor_is_the_same_episodes_next_step(victim: Target) -> None:
    steps = roll_out(victim, HOPPER, range(3), (0.3,))
    last = (steps.lengths.cumsum(0) - 1).tolist()
    for row in range(len(steps)):
        if row in last:
            torch.testing.assert_close(steps.next_executed[row], steps.next_intended[row])
        else:
            assert torch.equal(steps.next_executed[row], steps.action[row + 1])
            assert torch.equal(steps.next_obs[row], steps.obs[row + 1])
    torch.testing.assert_close(steps.next_intended, victim.policy(steps.next_obs).detach())


def test_an_episode_is_the_same_in_every_company(victim: Target) -> None:
    together, alone = roll_out(victim, HOPPER, [3, 4, 5], (0.2,)), roll_out(victim, HOPPER, [4], (0.2,))
    start, end = together.lengths.cumsum(0)[:2].tolist()
    assert torch.equal(together.obs[start:end], alone.obs)
    assert torch.equal(together.action[start:end], alone.action)


def test_nothing_of_the_victim_changes(victim: Target) -> None:
    policy = victim.policy.function  # type: ignore[attr-defined]  # as attacks adapt it
    assert isinstance(policy, torch.nn.Module)
    for parameter in policy.parameters():
        parameter.requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    steps = roll_out(victim, HOPPER, range(2), (0.0, 0.3))
    low, high = -torch.ones(3), torch.ones(3)
    q = fit(steps, METHODS["robust-sarsa"], Fit(steps=20, hidden=(8,)), low=low, high=high)
    of_actions(q, victim, HOPPER, steps, range(2), 0.99, torch.Generator().manual_seed(0))
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.state_dict().items())
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_a_recurrent_victims_memory_is_part_of_the_state(tmp_path: Path) -> None:
    path = tmp_path / "lstm-Hopper.model"
    path.write_bytes(FILES["lstm.model"]())
    target = load(path).target
    assert target.memory is not None
    steps = roll_out(target, HOPPER, [0, 1])
    assert steps.obs.shape[1] == 11 + len(target.memory.start)
    assert torch.equal(steps.obs[0, 11:], target.memory.start)
    torch.testing.assert_close(steps.next_obs[0, 11:], target.memory.advance(steps.obs[:1], steps.obs[:1])[0].detach())


def test_returns_to_go_by_hand() -> None:
    steps = replace(chain(2), reward=torch.arange(1.0, 9), terminal=torch.tensor([0.0, 0, 0, 1, 0, 0, 0, 0]))
    returns, missing = returns_to_go(steps, 0.5)
    torch.testing.assert_close(returns, torch.tensor([3.25, 4.5, 5.0, 4.0, 10.75, 11.5, 11.0, 8.0]))
    torch.testing.assert_close(missing, torch.tensor([0.0, 0, 0, 0, 1 / 16, 1 / 8, 1 / 4, 1 / 2]))


def test_rows_of_a_dataset_follow_each_other_where_the_next_one_begins_where_they_end() -> None:
    rows = dataset(6)
    next_obs = np.concatenate([rows.obs[1:], rows.obs[:1]])
    next_obs[1] += 1  # a gap
    ended, cut = np.array([0, 0, 0, 1, 0, 0], bool), np.zeros(6, bool)
    steps = of_dataset(replace(rows, next_obs=next_obs, terminal=ended, timeout=cut), lambda obs: obs[:, :2] * 0)
    assert steps.lengths.tolist() == [2, 2, 2]
    assert torch.equal(steps.next_executed[[0, 2, 4]], torch.from_numpy(rows.action[[1, 3, 5]]))
    assert not steps.next_executed[[1, 3, 5]].any()
