"""Policies written out as layers where their network is feed-forward, for what bounds them (`attacks.certificates`)."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from attacks.feedforward import Feedforward, Function, curve
from microbench.checkpoints.layers import Layer, Norm


def written_out(
    chain: Sequence[Layer], activation: str, norm: Norm | None = None, *, actions: int | None = None
) -> Feedforward | None:
    """The network up to the output before squashing, its first `actions` numbers if there are more.

    None for an activation that has no bounds (gelu, silu).
    """
    if curve(activation) is None:
        return None
    weight, bias = chain[-1]
    layers = [*chain[:-1], (weight[:actions], bias[:actions])]
    if norm is None:
        return Feedforward(layers=layers, activation=activation)
    return Feedforward(layers=layers, activation=activation, mean=norm.mean, std=norm.std, clip=norm.clip)


def executed(
    network: Feedforward | None, squash: str, middle: Tensor, half: Tensor, box: tuple[Tensor, Tensor] | None
) -> Feedforward | None:
    """The same up to the action that is executed: middle + half·tanh of the output, or the output cut to the box."""
    if network is None:
        return None
    before, after = network.output, _output(squash, middle, half, box)
    return replace(network, output=lambda z: after(before(z)))


def _output(squash: str, middle: Tensor, half: Tensor, box: tuple[Tensor, Tensor] | None) -> Function:
    if squash != "none":
        return lambda z: middle.to(z) + half.to(z) * torch.tanh(z)
    if box is None:
        return lambda z: z
    low, high = box
    return lambda z: torch.clamp(z, low.to(z), high.to(z))
