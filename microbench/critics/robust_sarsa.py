"""Robust Sarsa (Zhang et al. 2020, arXiv:2003.08938, appendix): a critic that changes smoothly with the action.

A value with sharp bends misleads a gradient search; the penalty limits its change in a ball around the action.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from microbench.critics.bounds import output_bounds
from microbench.critics.fitting import Method
from microbench.critics.steps import Steps
from microbench.learning.networks import StackedLinear


def executed(steps: Steps) -> Tensor:
    """a', (N, A): the action executed in the next state of the same episode (Sarsa)."""
    return steps.next_executed


def smooth_error(q: Tensor, target: Tensor) -> Tensor:
    """Mean of the Huber loss of Q_j(s, a) − y_j with its bend at 1; both (M, B)."""
    assert q.shape == target.shape
    return smooth_l1_loss(q, target)


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """weight · mean max(ub − Q, Q − lb)², with the bounds of Q in the ℓ∞ ball of standardised actions and obs.

    The radius grows linearly from 0 over the middle third of the fit, as published.

    weight         factor of the penalty; larger makes Q smoother, and less accurate
    action_radius  largest radius of the ball in half-widths of the action box
    obs_radius     largest radius of the ball in standard deviations of the observations
    """

    weight: float = 0.1
    action_radius: float = 0.1
    obs_radius: float = 0.0

    def __call__(
        self, layers: Sequence[StackedLinear], obs: Tensor, action: Tensor, q: Tensor, progress: float
    ) -> Tensor:
        """A number, for standardised obs (B, S), action (B, A) and their values q (M, B)."""
        grown = min(1.0, 3 * progress - 1)
        if grown <= 0:
            return q.new_zeros(())
        radius = torch.cat([torch.full_like(obs, self.obs_radius), torch.full_like(action, self.action_radius)], 1)
        low, high = output_bounds(layers, torch.cat([obs, action], 1), grown * radius)
        return self.weight * torch.maximum(high - q, q - low).square().mean()


ROBUST_SARSA = Method(next_action=executed, loss=smooth_error, penalty=Robustness(), noise=(0.0, 0.1, 0.3))
