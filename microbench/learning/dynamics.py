"""The probabilistic dynamics ensemble: Gaussian over (next_obs − obs, reward) per member.

Chua et al. 2018, arXiv:1805.12114; Janner et al. 2019, arXiv:1906.08253; sizes and constants of the MICRO reference.
Shapes: B batch, E ensemble, S obs, A action.
"""

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from microbench.data.dataset import Transitions
from microbench.learning.networks import StackedLinear, chunks, stack, stacked


class Moments(NamedTuple):
    """Mean and log variance of (next_obs − obs, reward), both (E, B, S + 1)."""

    mean: Tensor
    log_var: Tensor


class DynamicsEnsemble(nn.Module):
    """E networks with 4 × 200 swish units; inputs are standardised, the log variance is softly clamped.

    `elites` are the members that rollouts and uncertainty sets use. Before a fit they are all members.
    """

    input_mean: Tensor
    input_std: Tensor
    elites: Tensor

    def __init__(
        self,
        obs_size: int,
        action_size: int,
        hidden: Sequence[int] = (200, 200, 200, 200),
        *,
        members: int = 7,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.obs_size, self.members = obs_size, members
        sizes = (obs_size + action_size, *hidden, 2 * (obs_size + 1))
        self.layers = stack(sizes, members, generator)
        for layer in stacked(self.layers):
            _truncated_normal_start(layer, generator)
        self.max_log_var = nn.Parameter(torch.full((obs_size + 1,), 0.5))
        self.min_log_var = nn.Parameter(torch.full((obs_size + 1,), -10.0))
        self.register_buffer("input_mean", torch.zeros(obs_size + action_size))
        self.register_buffer("input_std", torch.ones(obs_size + action_size))
        self.register_buffer("elites", torch.arange(members))

    def standardise_by(self, rows: Transitions) -> None:
        """Set the input statistics to those of these rows; a std under 1e-12 counts as 1."""
        inputs = torch.cat([rows.obs, rows.action], -1).double()
        std = inputs.std(0, correction=0)
        self.input_mean.copy_(inputs.mean(0))
        self.input_std.copy_(torch.where(std < 1e-12, 1.0, std))

    def inputs(self, obs: Tensor, action: Tensor) -> Tensor:
        """Standardised network input (B, S + A)."""
        return (torch.cat([obs, action], -1) - self.input_mean) / self.input_std

    def forward(self, x: Tensor) -> Moments:
        """Moments of every member for standardised inputs x: (E, B, S + A), or (B, S + A) for all members alike."""
        x = x if x.ndim == 3 else x.expand(self.members, -1, -1)
        *hidden, last = self.layers
        for layer in hidden:
            x = functional.silu(layer(x))
        return self._split(last(x))

    def _split(self, out: Tensor) -> Moments:
        mean, raw = out.chunk(2, -1)
        log_var = self.max_log_var - functional.softplus(self.max_log_var - raw)
        log_var = self.min_log_var + functional.softplus(log_var - self.min_log_var)
        return Moments(mean, log_var)

    @torch.no_grad()
    def member_moments(self, obs: Tensor, action: Tensor, member: int) -> Moments:
        """Moments of one member alone, each (B, S + 1)."""
        inputs = self.inputs(obs, action)
        out = torch.cat([self._member(member, inputs[rows]) for rows in chunks(inputs)])
        return self._split(out)

    def _member(self, member: int, x: Tensor) -> Tensor:
        """The output of one member's last layer for standardised inputs; (B, S + A) → (B, 2 (S + 1))."""
        *hidden, last = stacked(self.layers)
        for layer in hidden:
            x = functional.silu(torch.addmm(layer.bias[member], x, layer.weight[member]), inplace=True)
        return torch.addmm(last.bias[member], x, last.weight[member])

    @torch.no_grad()
    def step(self, obs: Tensor, action: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One imagined step: next_obs (B, S) and reward (B,), each row from an elite drawn at random.

        For each row only the drawn member is evaluated; the distribution is the same as with all of them.
        """
        noise = torch.randn(len(obs), self.obs_size + 1, generator=generator, device=obs.device)
        drawn = torch.randint(len(self.elites), (len(obs),), generator=generator, device=obs.device)
        out = torch.empty_like(noise)
        for position, member in enumerate(self.elites.tolist()):
            rows = (drawn == position).nonzero().squeeze(-1)
            mean, log_var = self.member_moments(obs[rows], action[rows], member)
            out[rows] = mean + (0.5 * log_var).exp() * noise[rows]
        return obs + out[:, :-1], out[:, -1]


class Elites:
    """A snapshot of the elites' weights, stacked once so that updates need not gather them."""

    def __init__(self, model: DynamicsEnsemble) -> None:
        self._members = copy.deepcopy(model).requires_grad_(False)
        self._members.members = len(model.elites)
        for layer in stacked(self._members.layers):
            layer.weight.data, layer.bias.data = layer.weight[model.elites], layer.bias[model.elites]

    @torch.no_grad()
    def next_obs(self, obs: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std of the next observation under every elite, both (E, B, S)."""
        mean, log_var = self._members(self._members.inputs(obs, action))
        return obs + mean[..., :-1], (0.5 * log_var[..., :-1]).exp()


def _truncated_normal_start(layer: StackedLinear, generator: torch.Generator) -> None:
    """Draw weights from a normal of std 1 / (2 √fan_in) truncated at two standard deviations; set biases to 0."""
    std = 1 / (2 * math.sqrt(layer.weight.shape[1]))
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std, generator=generator)
    nn.init.zeros_(layer.bias)
