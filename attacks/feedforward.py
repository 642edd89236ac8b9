"""A policy written out as layers, for what must know more of it than its actions. B batch, S observation, A action."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A non-decreasing activation with its derivative: convex everywhere, or convex below 0 and concave above (S)."""

    function: Function
    slope: Function
    convex: bool


def curve(text: str) -> Curve | None:
    """Return the curve of an activation's name, such as `tanh` or `leaky_relu(0.2)`.

    None for what cannot be bounded here: activations that fall somewhere (gelu, silu), and numbers outside 0 to 1,
    with which the others are not convex.
    """
    written = re.fullmatch(r"(\w+)(?:\(([-+.\de]+)\))?", text)
    if written is None:
        return None
    name, number = written[1], written[2]
    if name == "tanh" and number is None:
        return Curve(function=torch.tanh, slope=lambda x: 1 - torch.tanh(x).square(), convex=False)
    if name == "sigmoid" and number is None:
        return Curve(function=torch.sigmoid, slope=lambda x: torch.sigmoid(x) * torch.sigmoid(-x), convex=False)
    try:
        size = float(number) if number is not None else {"relu": 0.0, "leaky_relu": 0.01, "elu": 1.0}.get(name, -1.0)
    except ValueError:
        return None
    if not 0 <= size <= 1 or (name == "relu" and number is not None):
        return None
    if name in ("relu", "leaky_relu"):
        return Curve(
            function=lambda x: functional.leaky_relu(x, size),
            slope=lambda x: torch.full_like(x, size).masked_fill(x > 0, 1.0),  # in the precision of x
            convex=True,
        )
    if name == "elu":
        return Curve(
            function=lambda x: functional.elu(x, size),
            slope=lambda x: (size * x.clamp(max=0).exp()).masked_fill(x > 0, 1.0),
            convex=True,
        )
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class Feedforward:
    """A policy without memory: normalised observation, affine layers with one activation between them, output.

    layers      (weight (out, in), bias (out,)) from the observation (S) to the last layer's outputs (A)
    activation  between layers, by name (`curve`)
    mean, std   (S,), with clip: what the first layer takes is clip((obs − mean)/std, ±clip); None for obs itself
    output      from the last layer's outputs to the executed action: every component alone, never decreasing; the
                identity unless it is given, else a tanh scaled to the action box, or a cut to it

    It computes in float64. ValueError if the activation cannot be bounded or sizes do not fit.
    """

    layers: Sequence[tuple[Tensor, Tensor]]
    activation: str
    mean: Tensor | None = None
    std: Tensor | None = None
    clip: float = float("inf")
    output: Function = lambda z: z

    def __post_init__(self) -> None:
        if curve(self.activation) is None:
            raise ValueError(
                f"The activation {self.activation!r:.40} has no bounds here; expected relu, leaky_relu, elu (with a "
                f"number from 0 to 1), tanh or sigmoid."
            )
        sizes = [weight.shape for weight, _ in self.layers]
        if not sizes or any(after[1] != before[0] for before, after in itertools.pairwise(sizes)):
            raise ValueError(f"Layers of the sizes {[tuple(size) for size in sizes]} are no network.")
        exact = tuple((weight.detach().double(), bias.detach().double()) for weight, bias in self.layers)
        object.__setattr__(self, "layers", exact)

    @property
    def curve(self) -> Curve:
        """The activation's curve."""
        known = curve(self.activation)
        assert known is not None  # checked when it was made
        return known

    def normalised(self, obs: Tensor) -> Tensor:
        """Return what the first layer would take of obs (B, S) without the clip, in float64."""
        obs = obs.double()
        mean = 0.0 if self.mean is None else self.mean.double()
        return (obs - mean) / (1.0 if self.std is None else self.std.double())

    def __call__(self, obs: Tensor) -> Tensor:
        """Return the executed action (B, A) for obs (B, S) in float64, differentiably."""
        x, function = self.normalised(obs).clamp(-self.clip, self.clip), self.curve.function
        *hidden, last = self.layers
        for weight, bias in hidden:
            x = function(functional.linear(x, weight, bias))
        return self.output(functional.linear(x, *last))
