"""Proximal policy optimisation in short pure functions (Schulman et al. 2017, arXiv:1707.06347).

Shapes: T steps, N rows, B samples, S sensors, D decision. The networks are the small ones of Zhang et al. 2021
(arXiv:2101.08452): two tanh layers of 64 units each for the actor and for the value.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of PPO. Between two updates it collects rows · horizon samples.

    rows          episodes in lock step; more make gradients less noisy, and updates rarer
    horizon       steps per row between two updates; longer rests less on the value
    epochs        passes over the samples per update; more use them better, until the policy drifts from them
    minibatch     samples per gradient step
    lr            learning rate at the start; it falls linearly to 0
    clip          largest change of a probability ratio per update; larger learns faster, and is less stable
    gamma         discount per environment step
    gae_lambda    λ of generalised advantages; larger has less bias and more variance
    entropy       weight of the entropy bonus; larger keeps decisions random for longer
    log_std       log of the decisions' std at the start, in a box of ±1
    hidden        units of the hidden layers
    max_gradient  largest norm of a gradient
    """

    rows: int = 64
    horizon: int = 64
    epochs: int = 4
    minibatch: int = 1024
    lr: float = 2e-3
    clip: float = 0.2
    gamma: float = 0.99
    gae_lambda: float = 0.95
    entropy: float = 0.0
    log_std: float = 0.0
    hidden: tuple[int, ...] = (64, 64)
    max_gradient: float = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """The samples of an update.

    obs (B, S) normalised, decision (B, D) with log probability (B,), advantage (B,), value target (B,).
    """

    obs: Tensor
    decision: Tensor
    log_prob: Tensor
    advantage: Tensor
    value_target: Tensor

    def __getitem__(self, index: Tensor) -> "Samples":
        return Samples(**{name: tensor[index] for name, tensor in vars(self).items()})


class Networks(nn.Module):
    """A Gaussian actor whose std does not depend on the observation, and a value network.

    Initial weights are orthogonal, drawn from `generator`; the actor's last layer is small, so that the first
    decisions are noise around 0.
    """

    def __init__(self, inputs: int, decisions: int, settings: Settings, generator: torch.Generator) -> None:
        super().__init__()
        self.actor = _layers((inputs, *settings.hidden, decisions), 0.01, generator)
        self.value = _layers((inputs, *settings.hidden, 1), 1.0, generator)
        self.log_std = nn.Parameter(torch.full((decisions,), settings.log_std))

    def mean(self, obs: Tensor) -> Tensor:
        """The deterministic decision (B, D)."""
        return tanh_network(self.actor, obs)

    def deciding(self) -> list[tuple[Tensor, Tensor]]:
        """The layers of the deterministic decision: weight (out, in) and bias (out,), first to last."""
        return [(layer.weight.detach(), layer.bias.detach()) for layer in map(_linear, self.actor)]

    def judged(self, obs: Tensor) -> Tensor:
        """The value (B,)."""
        return tanh_network(self.value, obs).squeeze(-1)


def tanh_network(layers: nn.ModuleList, x: Tensor) -> Tensor:
    """The layers with tanh between them."""
    *hidden, last = layers
    for layer in hidden:
        x = torch.tanh(layer(x))
    out: Tensor = last(x)
    return out


def _linear(layer: nn.Module) -> nn.Linear:
    """The layer with its type, which a ModuleList does not keep."""
    assert isinstance(layer, nn.Linear)
    return layer


def _layers(sizes: Sequence[int], last_gain: float, generator: torch.Generator) -> nn.ModuleList:
    layers = nn.ModuleList()
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        with torch.device("meta"):  # its own start would draw from the global generator
            layer = nn.Linear(inputs, outputs)
        layer.to_empty(device="cpu")
        gain = last_gain if number == len(sizes) - 2 else math.sqrt(2)
        nn.init.orthogonal_(layer.weight, gain, generator=generator)
        nn.init.zeros_(layer.bias)
        layers.append(layer)
    return layers


def log_prob(mean: Tensor, log_std: Tensor, decision: Tensor) -> Tensor:
    """Log N(decision; mean, exp(log_std)²), summed over the decision's parts, (B,)."""
    scaled = (decision - mean) * torch.exp(-log_std)
    return (-0.5 * scaled.square() - log_std - _HALF_LOG_2PI).sum(-1)


def entropy(log_std: Tensor) -> Tensor:
    """The Gaussian's entropy: Σ log σ + ½ log 2πe."""
    return (log_std + 0.5 + _HALF_LOG_2PI).sum()


def advantages(
    reward: Tensor, value: Tensor, next_value: Tensor, ended: Tensor, gamma: float, gae_lambda: float
) -> Tensor:
    """Generalised advantage estimates (T, N): A_t = δ_t + γλ·(1 − ended_t)·A_{t+1}, δ_t = r_t + γ·V'_t − V_t.

    `next_value` (T, N) is the value of the next state: 0 after termination, and after truncation the value of the
    episode's final state, never of the next episode's first. Schulman et al. 2016, arXiv:1506.02438.
    """
    delta = reward + gamma * next_value - value
    kept = gamma * gae_lambda * (1 - ended)
    out, following = torch.empty_like(delta), torch.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        following = out[t] = delta[t] + kept[t] * following
    return out


def surrogate_loss(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """−E min(ρA, clip(ρ, 1 ± clip)·A) with ρ = π(d|s)/π_old(d|s): equation 7 of the paper, to be minimised."""
    ratio = torch.exp(log_prob - old_log_prob)
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def value_loss(value: Tensor, target: Tensor) -> Tensor:
    """½ E (V − target)²."""
    return 0.5 * (value - target).square().mean()


def loss(networks: Networks, samples: Samples, settings: Settings) -> Tensor:
    """The actor's and the value's loss together; they share no parameter."""
    new = log_prob(networks.mean(samples.obs), networks.log_std, samples.decision)
    return (
        surrogate_loss(new, samples.log_prob, samples.advantage, settings.clip)
        + value_loss(networks.judged(samples.obs), samples.value_target)
        - settings.entropy * entropy(networks.log_std)
    )


def update(
    networks: Networks,
    optimiser: torch.optim.Optimizer,
    samples: Samples,
    settings: Settings,
    generator: torch.Generator,
) -> None:
    """Update the networks in place: pass over the samples `epochs` times, in a new order each time."""
    for index in _pieces(len(samples.obs), settings, generator):
        optimiser.zero_grad()
        loss(networks, samples[index], settings).backward()  # type: ignore[no-untyped-call]  # torch's
        nn.utils.clip_grad_norm_(networks.parameters(), settings.max_gradient)
        optimiser.step()


def _pieces(count: int, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    for _ in range(settings.epochs):
        order = torch.randperm(count, generator=generator)
        yield from (order[start : start + settings.minibatch] for start in range(0, count, settings.minibatch))
