"""The losses of soft actor-critic as pure functions of tensors.

Haarnoja et al. 2018, arXiv:1812.05905. Shapes: B batch, M critics.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def soft_value(q: Tensor, log_prob: Tensor, alpha: Tensor | float) -> Tensor:
    """V(s) = min_j Q_j(s, a) − α · log π(a|s), a ~ π(·|s); q (M, B), log_prob (B,) → (B,). Eq. (3)."""
    return q.amin(0) - alpha * log_prob


def critic_loss(q: Tensor, target: Tensor) -> Tensor:
    """Mean over critics and batch of (Q_j(s, a) − target)²; q (M, B), target (B,). Eq. (5) with M critics."""
    assert q.shape[1:] == target.shape, f"{tuple(q.shape)} against {tuple(target.shape)}"
    return (q - target).square().mean()


def actor_loss(q: Tensor, log_prob: Tensor, alpha: Tensor | float) -> Tensor:
    """Mean of α · log π(a|s) − min_j Q_j(s, a), a ~ π(·|s) reparametrised; q (M, B), log_prob (B,). Eq. (7)."""
    return (alpha * log_prob - q.amin(0)).mean()


def temperature_loss(log_alpha: Tensor, log_prob: Tensor, target_entropy: float) -> Tensor:
    """Mean of −log α · (log π(a|s) + H̄); the gradient reaches log α only. Eq. (18) in its log form."""
    return -(log_alpha * (log_prob.detach() + target_entropy)).mean()


@torch.no_grad()
def polyak_update_(target: Iterable[Tensor], source: Iterable[Tensor], tau: float) -> None:
    """Set θ̄ ← (1 − τ) θ̄ + τ θ, in place."""
    torch._foreach_lerp_(list(target), list(source), tau)
