"""The losses of soft actor-critic on two-row batches, worked out by hand."""

import pytest
import torch

from microbench.learning import sac

Q = torch.tensor([[1.0, 5.0], [3.0, 4.0]])  # (2 critics, 2 rows): least 1 and 4
LOG_PROB = torch.tensor([-1.0, 2.0])


def test_soft_value() -> None:
    """1 − 0.5 · (−1) = 1.5; 4 − 0.5 · 2 = 3."""
    assert sac.soft_value(Q, LOG_PROB, 0.5).tolist() == [1.5, 3.0]
    assert sac.soft_value(Q, LOG_PROB, 0.0).tolist() == [1.0, 4.0]


def test_critic_loss() -> None:
    """Errors to (2, 2): −1, 3, 1, 2 → (1 + 9 + 1 + 4) / 4."""
    assert sac.critic_loss(Q, torch.tensor([2.0, 2.0])).item() == 3.75


def test_critic_loss_refuses_shapes_that_would_broadcast() -> None:
    with pytest.raises(AssertionError):
        sac.critic_loss(Q, torch.zeros(2, 1))


def test_actor_loss() -> None:
    """0.5 · (−1) − 1 = −1.5; 0.5 · 2 − 4 = −3."""
    assert sac.actor_loss(Q, LOG_PROB, 0.5).item() == -2.25


def test_temperature_loss_and_its_gradient() -> None:
    """−log α · mean(log π + H̄) with log α = −0.5, H̄ = −2: mean(−3, 0) = −1.5; gradient 1.5."""
    log_alpha = torch.tensor(-0.5, requires_grad=True)
    log_prob = LOG_PROB.clone().requires_grad_()
    loss = sac.temperature_loss(log_alpha, log_prob, -2.0)
    assert loss.item() == -0.75
    log_alpha_grad, log_prob_grad = torch.autograd.grad(loss, [log_alpha, log_prob], allow_unused=True)
    assert log_alpha_grad.item() == 1.5
    assert log_prob_grad is None


def test_temperature_rises_when_the_policy_is_too_sure() -> None:
    log_alpha = torch.tensor(0.0, requires_grad=True)
    (gradient,) = torch.autograd.grad(sac.temperature_loss(log_alpha, torch.tensor([5.0]), -2.0), log_alpha)
    assert gradient.item() == -3.0  # descent raises log α


def test_polyak_update() -> None:
    target, source = [torch.tensor([1.0, 0.0]), torch.tensor(2.0)], [torch.tensor([3.0, 4.0]), torch.tensor(2.0)]
    sac.polyak_update_(target, source, 0.25)
    assert target[0].tolist() == [1.5, 1.0]
    assert target[1].item() == 2.0
    assert source[0].tolist() == [3.0, 4.0]
