import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from attacks import Objective, Target, action_difference, action_kl, value
from attacks.objectives import default
from tests.attacks.toys import ACTIONS, SENSORS, Networks, gaussian_target, network, observations


def test_value_by_hand() -> None:
    # π(s) = s₀ + 2s₁ and Q(s, a) = s₀·a: with s = (3, 0) and ŝ = (1, 1) it is 3·(1 + 2) = 9, not 1·3.
    target = Target(
        policy=lambda obs: obs @ torch.tensor([[1.0], [2.0]]), critic=lambda obs, a: obs[:, 0] * a[:, 0], obs_scale={}
    )
    assert value(target, torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]])).tolist() == [9.0]


def test_action_difference_by_hand() -> None:
    target = Target(policy=lambda obs: 2 * obs, obs_scale={})
    # π moves by (2, −4): −(4 + 16).
    assert action_difference(target, torch.zeros(1, 2), torch.tensor([[1.0, -2.0]])).tolist() == [-20.0]


def test_action_kl_is_minus_the_symmetric_divergence() -> None:
    target, obs, seen = gaussian_target(), observations(6), observations(6, seed=1)
    assert target.distribution is not None
    p, q = target.distribution(obs), target.distribution(seen)
    expected = -(kl_divergence(p, q) + kl_divergence(q, p)).sum(-1)
    torch.testing.assert_close(action_kl(target, obs, seen), expected)


def test_action_kl_by_hand() -> None:
    # Equal σ = 2 and means 3 apart: each KL is 9/(2·4), together 9/4.
    target = Target(policy=torch.tanh, distribution=lambda obs: Normal(obs, torch.full_like(obs, 2.0)), obs_scale={})
    assert action_kl(target, torch.zeros(1, 1), torch.full((1, 1), 3.0)).tolist() == pytest.approx([-2.25])


def test_default_is_value_if_there_is_a_critic() -> None:
    assert default(Networks().target()) is value
    assert default(Networks().target(critic=False)) is action_difference


@pytest.mark.parametrize("objective", [value, action_difference, action_kl])
def test_gradients_agree_with_finite_differences(objective: Objective) -> None:
    actor, critic = network(SENSORS, ACTIONS, 1).double(), network(SENSORS + ACTIONS, 1, 2).double()
    target = Target(
        policy=lambda obs: torch.tanh(actor(obs)),
        critic=lambda obs, action: critic(torch.cat([obs, action], -1)).squeeze(-1),
        distribution=lambda obs: Normal(actor(obs), torch.exp(0.1 * actor(obs))),
        obs_scale={},
    )
    obs = observations(4).double()
    seen = (obs + 0.1).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda shown: objective(target, obs, shown), (seen,))


@pytest.mark.parametrize("objective", [action_difference, action_kl])
def test_distances_vanish_with_their_gradient_at_the_clean_point(objective: Objective) -> None:
    obs = observations(6)
    seen = obs.clone().requires_grad_(True)
    distance = objective(gaussian_target(), obs, seen)
    gradient: Tensor = torch.autograd.grad(distance.sum(), seen)[0]
    assert distance.detach().abs().max() < 1e-6
    assert gradient.abs().max() < 1e-5
