"""Actor and critics of soft actor-critic, and the stacked layers that the dynamics ensemble has in common with them.

Shapes: B batch, M ensemble member or critic, S obs, A action.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from microbench.numerics.kernels import column, dense, fusable, hidden_layer

LOG_STD_BOUNDS = (-5.0, 2.0)  # MICRO reference, policy head
_PARAMETERS = ("weight", "bias")
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# On the CPU a larger no-grad pass is cut into pieces of so many rows: temporaries of a few megabytes stay in the cache.
CHUNK_ROWS = 3200


class StackedLinear(nn.Module):
    """M independent affine layers evaluated in one batched product: (M, B, in) → (M, B, out)."""

    def __init__(self, members: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)  # torch.nn.Linear's own start, member by member
        self.weight = nn.Parameter(_uniform((members, inputs, outputs), bound, generator))
        self.bias = nn.Parameter(_uniform((members, 1, outputs), bound, generator))

    def forward(self, x: Tensor, *, frozen: bool = False) -> Tensor:
        """The affine map of x. With `frozen`, gradients reach x but not the parameters."""
        weight, bias = (self.weight.detach(), self.bias.detach()) if frozen else (self.weight, self.bias)
        return torch.baddbmm(bias, x, weight)


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def stack(sizes: Sequence[int], members: int, generator: torch.Generator) -> nn.ModuleList:
    """Stacked layers of these sizes, input first."""
    return nn.ModuleList(StackedLinear(members, a, b, generator) for a, b in itertools.pairwise(sizes))


def stacked(layers: nn.ModuleList) -> list[StackedLinear]:
    """The layers typed as StackedLinear, because a ModuleList does not keep their type."""
    return [cast(StackedLinear, layer) for layer in layers]


class GaussianHead(NamedTuple):
    """Pre-tanh Gaussian of a policy: mean and log standard deviation, both (B, A)."""

    mean: Tensor
    log_std: Tensor


class Actor(nn.Module):
    """Tanh-Gaussian policy π(a|s) = tanh(N(μ(s), σ(s)²)), scaled to the action box.

    Haarnoja et al. 2018, arXiv:1812.05905, appendix C. Two ReLU layers of 256 units by default; log σ is clamped to
    [−5, 2]. Initial weights are drawn from `generator`, so equal seeds give equal networks.
    """

    action_scale: Tensor
    action_center: Tensor

    def __init__(
        self,
        obs_size: int,
        action_size: int,
        hidden: Sequence[int] = (256, 256),
        *,
        action_low: Sequence[float] | None = None,
        action_high: Sequence[float] | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        sizes = (obs_size, *hidden)
        self.layers = nn.ModuleList(_linear(a, b, generator) for a, b in itertools.pairwise(sizes))
        self.mean = _linear(sizes[-1], action_size, generator)
        self.log_std = _linear(sizes[-1], action_size, generator)
        low = torch.full((action_size,), -1.0) if action_low is None else torch.tensor(list(action_low))
        high = torch.full((action_size,), 1.0) if action_high is None else torch.tensor(list(action_high))
        self.register_buffer("action_scale", (high - low) / 2)
        self.register_buffer("action_center", (high + low) / 2)

    def head(self, obs: Tensor, *, half: bool = False) -> GaussianHead:
        """The pre-tanh Gaussian at obs (B, S). With `half`, products between hidden layers are in bfloat16."""
        x, fused = obs, fusable(obs)
        for number, module in enumerate(self.layers):
            layer = cast(nn.Linear, module)
            x = hidden_layer(x, layer.weight, layer.bias, half=half and number > 0)
        mean, log_std = self._both(x) if fused else (self.mean(x), self.log_std(x))
        return GaussianHead(mean, log_std.clamp(*LOG_STD_BOUNDS))

    def _both(self, x: Tensor) -> tuple[Tensor, ...]:
        """Mean and log std in one product, because a narrow product's time is that of reading its rows."""
        weight, bias = (torch.cat([getattr(head, kind) for head in (self.mean, self.log_std)]) for kind in _PARAMETERS)
        return dense(x, weight, bias, "none").chunk(2, -1)

    def forward(self, obs: Tensor) -> Tensor:
        """The deterministic action (B, A): the mode of the policy."""
        x = obs
        for layer in self.layers:
            x = functional.relu(layer(x))
        return self.action_center + self.action_scale * torch.tanh(self.mean(x))

    def act(self, obs: Tensor, noise: Tensor, *, half: bool = False) -> Tensor:
        """A sampled action (B, A) for standard normal noise (B, A); `half` as in `head`."""
        mean, log_std = self.head(obs, half=half)
        return self.action_center + self.action_scale * torch.tanh(mean + log_std.exp() * noise)

    def sample(self, obs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Sampled action (B, A) and its log probability (B,).

        log π(a|s) = log N(u; μ, σ²) − Σ log(1 − tanh(u)² + 1e-6) − Σ log scale, with u = μ + σ·noise.
        """
        return squashed_sample(self.head(obs), noise, self)


def squashed_sample(head: GaussianHead, noise: Tensor, actor: Actor) -> tuple[Tensor, Tensor]:
    """Sampled action (…, B, A) and log probability (…, B) of `Actor.sample`, for the head (…, B, A)."""
    squashed = torch.tanh(head.mean + head.log_std.exp() * noise)
    log_normal = -0.5 * noise.square() - head.log_std - _HALF_LOG_2PI
    correction = torch.log(1 - squashed.square() + 1e-6) + actor.action_scale.log()
    return actor.action_center + actor.action_scale * squashed, (log_normal - correction).sum(-1)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    with torch.device("meta"):  # torch's own initialisation would draw from the global generator
        layer = nn.Linear(inputs, outputs)
    layer.to_empty(device="cpu")
    bound = 1 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


class Critics(nn.Module):
    """M independent action values Q_j(s, a) in one stacked network: (B, S), (B, A) → (M, B)."""

    def __init__(
        self,
        obs_size: int,
        action_size: int,
        hidden: Sequence[int] = (256, 256),
        *,
        members: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.members = members
        sizes = (obs_size + action_size, *hidden, 1)
        self.layers = nn.ModuleList(StackedLinear(members, a, b, generator) for a, b in itertools.pairwise(sizes))

    def forward(self, obs: Tensor, action: Tensor, *, frozen: bool = False, half: bool = False) -> Tensor:
        """Values (M, B). With `frozen`, gradients reach the inputs only.

        With `half`, products between hidden layers are in bfloat16. The first layer and the values stay float32,
        because around 128 bfloat16 has steps of 1. `half` is for values only, not for gradients.
        """
        inputs = torch.cat([obs, action], -1)
        if half or fusable(inputs):
            return torch.stack([self._member(member, inputs, half) for member in range(self.members)])
        x = inputs.expand(self.members, -1, -1)
        *hidden, last = self.layers
        for layer in hidden:
            x = functional.relu(layer(x, frozen=frozen), inplace=True)
        q: Tensor = last(x, frozen=frozen)
        return q.squeeze(-1)  # (M, B)

    def _member(self, member: int, x: Tensor, half: bool) -> Tensor:
        """Q_j at the inputs (B, S + A); (B,)."""
        *hidden, last = stacked(self.layers)
        for number, layer in enumerate(hidden):
            x = hidden_layer(x, layer.weight[member].T, layer.bias[member, 0], half=half and number > 0)
        return column(x, last.weight[member], last.bias[member, 0])


def chunks(of: Tensor) -> list[slice]:
    """Slices that together cover the rows of a tensor; a tensor without rows has one empty slice, which keeps shapes.

    On the CPU each slice has at most CHUNK_ROWS rows; on a GPU one slice has all rows.
    """
    size = CHUNK_ROWS if of.is_cpu else max(len(of), 1)
    return [slice(start, start + size) for start in range(0, max(len(of), 1), size)]
