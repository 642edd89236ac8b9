"""Networks built from stored weights, as pure functions of tensors. Shapes: B batch, I input of a layer."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from microbench.checkpoints.activations import activation as function_of
from microbench.checkpoints.containers.budget import pay

Function = Callable[[Tensor], Tensor]
Layer = tuple[Tensor, Tensor]  # weight (out, in), bias (out,)

MOST_MEMBERS = 200
SQUASHES = ("tanh", "none")


@dataclass(frozen=True, kw_only=True, eq=False)
class Norm:
    """A policy's normalisation of observations, clip((obs − mean)/std, ±clip), with mean and std (I,)."""

    mean: Tensor
    std: Tensor
    clip: float = float("inf")

    def __call__(self, obs: Tensor) -> Tensor:
        """Normalised obs (B, I)."""
        return ((obs - self.mean) / self.std).clamp(-self.clip, self.clip)


class UnknownPart(ValueError):
    """A network has a part that its family does not have; the message names it, as 'batch normalisation (net.1)'."""


def layer(tensors: Mapping[str, Tensor], name: str) -> Layer:
    """The affine layer `name`; a missing bias is zero. Raises KeyError without weights, ValueError for no matrix."""
    weight = tensors[f"{name}.weight"].float()
    bias = tensors.get(f"{name}.bias")
    bias = torch.zeros(len(weight)) if bias is None else bias.float()
    return _checked(weight, bias, name)


def transposed(weight: Tensor, bias: Tensor, name: str = "a layer") -> Layer:
    """The layer of weights stored as W (in, out), b (out,) or (1, out)."""
    return _checked(weight.float().T.contiguous(), bias.float().reshape(-1), name)


def _checked(weight: Tensor, bias: Tensor, name: str) -> Layer:
    if weight.ndim == 1 and weight.shape == bias.shape:  # an affine map of each number, as normalisation ends with
        raise UnknownPart(f"layer or batch normalisation ({name})")
    pay(size=4 * weight.numel(), steps=20 + weight.numel() // 1000)
    if weight.ndim != 2 or bias.shape != weight.shape[:1] or 0 in weight.shape:
        raise ValueError(f"{name} has weights {tuple(weight.shape)} and biases {tuple(bias.shape)}")
    if not bool(weight.isfinite().all() and bias.isfinite().all()):
        raise ValueError(f"{name} has weights that are not finite")
    return weight, bias


def numbered(tensors: Mapping[str, Tensor], prefix: str) -> list[Layer]:
    """The layers `prefix`0, `prefix`2, … in numeric order, as torch.nn.Sequential names them."""
    pay(steps=len(tensors))
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.weight")
    numbers = sorted(int(match[1]) for name in tensors if (match := pattern.fullmatch(name)))
    return [layer(tensors, f"{prefix}{number}") for number in numbers]


def ensemble(tensors: Mapping[str, Tensor], prefix: str) -> list[list[Layer]]:
    """The layers of N critics that are stored as one stack per layer: weights (N, in, out), biases (N, 1, out)."""
    pay(steps=len(tensors))
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.weight")
    numbers = sorted(int(match[1]) for name in tensors if (match := pattern.fullmatch(name)))
    stacks = [(tensors[f"{prefix}{number}.weight"], tensors[f"{prefix}{number}.bias"]) for number in numbers]
    if not stacks or any(weight.ndim != 3 for weight, _ in stacks):
        return []
    count = min(len(weight) for weight, _ in stacks)
    if count > MOST_MEMBERS:
        raise ValueError("an ensemble of more members than one has")
    return [[transposed(weight[member], bias[member]) for weight, bias in stacks] for member in range(count)]


def mlp(layers: Sequence[Layer], activation: str, *, last: bool = False) -> Function:
    """The layers with the activation between them, and with `last` after the last; ValueError if sizes do not fit."""
    if not layers:
        raise ValueError("no layers where a network is expected")
    for (before, _), (after, _) in itertools.pairwise(layers):
        if before.shape[0] != after.shape[1]:
            raise ValueError(f"a layer with {before.shape[0]} outputs before one with {after.shape[1]} inputs")
    act = function_of(activation)
    if act is None:
        raise ValueError(f"the unknown activation {activation:.40}")
    count = len(layers) if last else len(layers) - 1

    def forward(x: Tensor) -> Tensor:
        for number, (weight, bias) in enumerate(layers):
            x = functional.linear(x, weight, bias)
            x = act(x) if number < count else x
        return x

    return forward


def sizes(layers: Sequence[Layer]) -> list[int]:
    """The sizes of a network: inputs, hidden layers, outputs."""
    return [layers[0][0].shape[1], *(weight.shape[0] for weight, _ in layers)]


def side_by_side(networks: Sequence[Function], prepare: Function) -> Callable[[Tensor, Tensor], Tensor]:
    """The function obs, action → Q_k(prepare(obs), action) of every critic, (K, B)."""

    def critics(obs: Tensor, action: Tensor) -> Tensor:
        x = torch.cat([prepare(obs), action], -1)
        return torch.stack([network(x).squeeze(-1) for network in networks])

    return critics


def smallest(networks: Sequence[Function], prepare: Function) -> Callable[[Tensor, Tensor], Tensor]:
    """The function obs, action → min over critics of Q(prepare(obs), action), (B,)."""
    critics = side_by_side(networks, prepare)
    return lambda obs, action: critics(obs, action).amin(0)


def value_of(layers: Sequence[Layer], activation: str, prepare: Function) -> Function:
    """The function obs → V(prepare(obs)), (B,); ValueError if the layers do not end in one number."""
    if layers and len(layers[-1][0]) != 1:
        raise ValueError(f"a value network with {len(layers[-1][0])} outputs")
    network = mlp(layers, activation)
    return lambda obs: network(prepare(obs)).squeeze(-1)


def unchanged(x: Tensor) -> Tensor:
    """The input itself, for policies without normalisation."""
    return x


def after(first: Function, then: Function) -> Function:
    """The function x → then(first(x))."""
    return lambda x: then(first(x))
