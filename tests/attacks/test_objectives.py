import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from attacks import (
    Objective,
    Target,
    action_difference,
    action_kl,
    q_first,
    q_mean,
    q_min,
    q_std,
    state_value,
    value,
)
from attacks.objectives import default
from tests.attacks.toys import ACTIONS, SENSORS, Networks, gaussian_target, network, observations


def test_value_by_hand() -> None:
    # π(s) = s₀ + 2s₁ and Q(s, a) = s₀·a: with s = (3, 0) and ŝ = (1, 1) it is 3·(1 + 2) = 9, not 1·3.
    target = Target(
        policy=lambda obs: obs @ torch.tensor([[1.0], [2.0]]), critic=lambda obs, a: obs[:, 0] * a[:, 0], obs_scale={}
    )
    assert value(target, torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]])).tolist() == [9.0]


def test_reductions_of_an_ensemble_by_hand() -> None:
    # π(s) = s and Q_k(s, a) = k·a for k = 1, 2, 6: at ŝ = 2 they are 2, 4 and 12.
    prices = torch.tensor([[1.0], [2.0], [6.0]])
    target = Target(policy=lambda obs: obs, critics=lambda obs, action: prices @ action.T, obs_scale={})
    obs, seen = torch.zeros(1, 1), torch.full((1, 1), 2.0)
    values = {objective.__name__: float(objective(target, obs, seen)) for objective in (q_first, q_min, q_mean, q_std)}
    # std: the deviations from 6 are −4, −2 and 6, of mean square 56/3.
    assert values == pytest.approx({"q_first": 2, "q_min": 2, "q_mean": 6, "q_std": -((56 / 3) ** 0.5)})
    with pytest.raises(ValueError, match=r"must return \(K, B\) with B = 1, not \(1,\)"):
        q_mean(Target(policy=lambda obs: obs, critics=lambda obs, action: action[:, 0], obs_scale={}), obs, seen)


def test_state_value_judges_what_is_shown() -> None:
    target = Target(policy=lambda obs: obs, state_value=lambda obs: 3 * obs[:, 0], obs_scale={})
    assert state_value(target, torch.ones(1, 1), torch.full((1, 1), 5.0)).tolist() == [15.0]
    with pytest.raises(ValueError, match=r"has no such network; use the attack min-q"):
        state_value(Target(policy=torch.tanh, obs_scale={}), torch.ones(1, 1), torch.ones(1, 1))


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


@pytest.mark.parametrize("objective", [value, q_first, q_mean, q_min, q_std, state_value, action_difference, action_kl])
def test_gradients_agree_with_finite_differences(objective: Objective) -> None:
    actor, critic = network(SENSORS, ACTIONS, 1).double(), network(SENSORS + ACTIONS, 1, 2).double()
    target = Target(
        policy=lambda obs: torch.tanh(actor(obs)),
        critic=lambda obs, action: critic(torch.cat([obs, action], -1)).squeeze(-1),
        critics=lambda obs, action: critic(torch.cat([obs, action], -1)).squeeze(-1) * torch.tensor([[1.0], [-2.0]]),
        state_value=lambda obs: actor(obs)[:, 0],
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
