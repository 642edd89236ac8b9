"""A fitted critic: M networks on standardised inputs, of which it returns the smallest value."""

import torch
from torch import Tensor, nn

from microbench.critics.steps import Steps
from microbench.learning.networks import Critics

LEAST_SPREAD = 1e-3  # smallest divisor, so that a sensor that never moved does not overflow


class FittedCritic(nn.Module):
    """Q_j(s, a) = c + d·f_j((s − m)/σ, (a − a₀)/w), j = 1…M: values in units of discounted return.

    Actions outside the box [a₀ − w, a₀ + w] are clipped to it, because the evaluator clips them too. Gradients pass the
    clipping, so that a search can return from an actuator's limit.
    """

    obs_mean: Tensor
    obs_std: Tensor
    action_center: Tensor
    action_scale: Tensor
    value_center: Tensor
    value_scale: Tensor

    def __init__(
        self, obs_size: int, action_size: int, hidden: tuple[int, ...], members: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.networks = Critics(obs_size, action_size, hidden, members=members, generator=generator)
        for name, shape, start in (
            ("obs_mean", (obs_size,), 0.0),
            ("obs_std", (obs_size,), 1.0),
            ("action_center", (action_size,), 0.0),
            ("action_scale", (action_size,), 1.0),
            ("value_center", (), 0.0),
            ("value_scale", (), 1.0),
        ):
            self.register_buffer(name, torch.full(shape, start))

    def standardise(self, steps: Steps, returns: Tensor, low: Tensor, high: Tensor) -> None:
        """Set the units of inputs and values: obs by mean and std of the rows, action (A,) by its box."""
        self.obs_mean.copy_(steps.obs.mean(0))
        self.obs_std.copy_(steps.obs.std(0).clamp(min=LEAST_SPREAD))
        self.action_center.copy_((high + low) / 2)
        self.action_scale.copy_(((high - low) / 2).clamp(min=LEAST_SPREAD))
        self.value_center.copy_(returns.mean())
        self.value_scale.copy_(returns.std().clamp(min=LEAST_SPREAD))

    def inputs(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised obs (B, S) and action (B, A), the latter clipped to the box."""
        wanted = (action - self.action_center) / self.action_scale
        executed = wanted + (wanted.clamp(-1, 1) - wanted).detach()
        return (obs - self.obs_mean) / self.obs_std, executed

    def members(self, obs: Tensor, action: Tensor) -> Tensor:
        """The value of every member (M, B)."""
        return self.in_returns(self.networks(*self.inputs(obs, action)))

    def in_returns(self, q: Tensor) -> Tensor:
        """The discounted return of a network's output."""
        return self.value_center + self.value_scale * q

    def standardised(self, returns: Tensor) -> Tensor:
        """The network's output for a discounted return: the inverse of `in_returns`."""
        return (returns - self.value_center) / self.value_scale

    def forward(self, obs: Tensor, action: Tensor) -> Tensor:
        """The smallest value of the members (B,)."""
        return self.members(obs, action).amin(0)
