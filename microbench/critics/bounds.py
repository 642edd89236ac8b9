"""Interval bound propagation: bounds of a network's output for all inputs in a box.

Gowal et al. 2018, arXiv:1810.12715. A box is (centre, radius), half-widths ≥ 0. Shapes: M networks, B batch.
"""

from collections.abc import Sequence

from torch import Tensor

from microbench.learning.networks import StackedLinear

Box = tuple[Tensor, Tensor]


def affine(box: Box, weight: Tensor, bias: Tensor) -> Box:
    """(c, r) → (c W + b, r |W|), (M, B, in) → (M, B, out): exact for one layer."""
    centre, radius = box
    return centre @ weight + bias, radius @ weight.abs()


def relu(box: Box) -> Box:
    """(c, r) → the box of max(0, x), whose ends are max(0, ends)."""
    low, high = ends(box)
    low, high = low.clamp(min=0), high.clamp(min=0)
    return (high + low) / 2, (high - low) / 2


def ends(box: Box) -> tuple[Tensor, Tensor]:
    """The lowest and the highest values of a box."""
    centre, radius = box
    return centre - radius, centre + radius


def output_bounds(layers: Sequence[StackedLinear], centre: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper bounds (M, B) of M stacked ReLU networks over the boxes centre ± radius, both (B, in).

    All outputs for the box lie between them, but need not reach them. They are differentiable in the weights.
    """
    members = len(layers[0].weight)
    box = (centre.expand(members, -1, -1), radius.expand(members, -1, -1))
    *hidden, last = layers
    for layer in hidden:
        box = relu(affine(box, layer.weight, layer.bias))
    low, high = ends(affine(box, last.weight, last.bias))
    return low.squeeze(-1), high.squeeze(-1)
