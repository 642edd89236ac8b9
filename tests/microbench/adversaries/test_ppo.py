"""The maths of PPO: numbers worked out by hand, an independent sum for the advantages, and a bandit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal

from microbench.adversaries import ppo
from microbench.adversaries.statistics import Running, normalised


def test_advantages_by_hand() -> None:
    """γ = 0.5, λ = 0.5. δ = (1 + 1 − 1, 0 + 0 − 2, 2 + 4 − 0) = (1, −2, 6); the second step ends its episode."""
    reward, value = torch.tensor([[1.0], [0.0], [2.0]]), torch.tensor([[1.0], [2.0], [0.0]])
    next_value, ended = torch.tensor([[2.0], [0.0], [8.0]]), torch.tensor([[0.0], [1.0], [0.0]])
    measured = ppo.advantages(reward, value, next_value, ended, 0.5, 0.5)
    assert measured[:, 0].tolist() == [1 + 0.25 * -2, -2, 6]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_advantages_are_the_sum_of_the_paper(seed: int, gamma: float, gae_lambda: float) -> None:
    """Σ_l (γλ)^l δ_{t+l} up to the end of the episode, equation 16 of the paper, as a sum in double precision."""
    rng = np.random.default_rng(seed)
    reward, value, next_value = rng.normal(size=(3, 9, 2))
    ended = rng.random((9, 2)) < 0.3
    tensors = [torch.from_numpy(x) for x in (reward, value, next_value, ended.astype(float))]
    measured = ppo.advantages(tensors[0], tensors[1], tensors[2], tensors[3], gamma, gae_lambda)
    for row in range(2):
        for t in range(9):
            expected, weight = 0.0, 1.0
            for later in range(t, 9):
                expected += weight * (reward[later, row] + gamma * next_value[later, row] - value[later, row])
                weight *= gamma * gae_lambda
                if ended[later, row]:
                    break
            assert measured[t, row].item() == pytest.approx(expected, abs=1e-12)


def test_the_surrogate_takes_the_smaller_of_both_by_hand() -> None:
    """Ratios 1.5 and 0.5 with clip 0.2: A = 1 counts 1.2 and 0.5, A = −1 counts −1.5 and −0.8."""
    old, new = torch.zeros(4), torch.log(torch.tensor([1.5, 0.5, 1.5, 0.5]))
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    assert ppo.surrogate_loss(new, old, advantage, 0.2).item() == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4)


def test_log_probabilities_and_entropy_are_those_of_torch() -> None:
    mean, log_std, decision = torch.randn(5, 3), torch.tensor([-1.0, 0.0, 0.5]), torch.randn(5, 3)
    normal = Normal(mean, log_std.exp())
    torch.testing.assert_close(ppo.log_prob(mean, log_std, decision), normal.log_prob(decision).sum(-1))  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ppo.entropy(log_std), normal.entropy()[0].sum())  # type: ignore[no-untyped-call]


def test_the_value_loss_by_hand() -> None:
    assert ppo.value_loss(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0])).item() == 2.5


@pytest.mark.parametrize("wanted", [0.7, -0.4])
def test_on_a_bandit_the_mean_moves_to_what_pays(wanted: float) -> None:
    """Reward −(d − wanted)²: its optimum is d = wanted, whatever is observed."""
    settings = ppo.Settings(lr=5e-3, minibatch=128, entropy=0.0)
    generator = torch.Generator().manual_seed(0)
    networks = ppo.Networks(2, 1, settings, generator)
    optimiser = torch.optim.Adam(networks.parameters(), lr=settings.lr)
    obs = torch.randn(256, 2, generator=generator)
    for _ in range(40):
        with torch.no_grad():
            mean = networks.mean(obs)
            decision = mean + networks.log_std.exp() * torch.randn(256, 1, generator=generator)
            advantage = -(decision[:, 0] - wanted).square()
            samples = ppo.Samples(
                obs=obs,
                decision=decision,
                log_prob=ppo.log_prob(mean, networks.log_std, decision),
                advantage=(advantage - advantage.mean()) / advantage.std(),
                value_target=advantage,
            )
        ppo.update(networks, optimiser, samples, settings, generator)
    assert networks.mean(obs).mean().item() == pytest.approx(wanted, abs=0.1)
    assert networks.log_std.exp().item() < math.exp(settings.log_std)  # less noise pays more


def test_an_update_visits_every_sample_once_per_epoch() -> None:
    settings = ppo.Settings(epochs=3, minibatch=4)
    pieces = list(ppo._pieces(10, settings, torch.Generator().manual_seed(0)))
    assert [len(piece) for piece in pieces] == [4, 4, 2] * 3
    for epoch in range(3):
        assert sorted(torch.cat(pieces[3 * epoch : 3 * epoch + 3]).tolist()) == list(range(10))


def test_equal_seeds_give_equal_networks_and_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    one, other = (ppo.Networks(3, 2, ppo.Settings(), torch.Generator().manual_seed(4)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert torch.equal(before, torch.random.get_rng_state())
    weight = dict(one.named_parameters())["value.1.weight"]
    torch.testing.assert_close(weight @ weight.T, 2 * torch.eye(64))  # orthogonal, gain √2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_running_statistics_are_those_of_all_rows(seed: int, sizes: list[int]) -> None:
    rng, running = np.random.default_rng(seed), Running(3)
    pieces = [rng.normal(5, 2, (size, 3)) for size in sizes]
    for piece in pieces:
        running.add(torch.from_numpy(piece))
    rows = np.concatenate(pieces)
    assert running.mean.numpy() == pytest.approx(rows.mean(0))
    assert running.std.numpy() == pytest.approx(rows.std(0) if len(rows) > 1 else np.ones(3))


def test_nothing_is_normalised_before_anything_is_known() -> None:
    running = Running(2)
    obs = torch.tensor([[3.0, -40.0]])
    assert normalised(obs, running.mean, running.std).tolist() == [[3.0, -10.0]]
