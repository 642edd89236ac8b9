"""Straight lines below and above an activation on an interval: the linear relaxation of CROWN.

Zhang et al. 2018, arXiv:1811.00866, section 3.2 and table 2. Pure functions of low and high (B, N) in float64, the
values between which every unit's input lies.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from attacks.feedforward import Curve, Function

BISECTIONS = 40
NARROW = 1e-9  # an interval so short that constants bound as well as lines, and no quotient is safe
ROUNDING = 1e-13  # of one line in float64, relative to 1 and to its ends


class Line(NamedTuple):
    """x ↦ slope·x + offset, both (B, N)."""

    slope: Tensor
    offset: Tensor


def lines(curve: Curve, low: Tensor, high: Tensor) -> tuple[Line, Line]:
    """Return a line below and a line above the curve on every interval.

    A convex curve lies below its chord and above its tangent at the middle. For relu that tangent has the slope 0 or 1,
    whichever leaves the smaller area, as CROWN's adaptive bound does. For curves of S shape see `_above`.
    """
    narrow = high - low < NARROW
    if curve.convex:
        below, above = _tangent(curve.function, curve.slope, (low + high) / 2), _chord(curve.function, low, high)
    else:
        above = _above(curve.function, curve.slope, low, high)
        slope, offset = _above(lambda x: -curve.function(-x), lambda x: curve.slope(-x), -high, -low)
        below = Line(slope, -offset)  # the curve turned by 180 degrees is of S shape again
    slack = ROUNDING * (1 + low.abs() + high.abs())
    return (
        Line(torch.where(narrow, 0, below.slope), torch.where(narrow, curve.function(low), below.offset) - slack),
        Line(torch.where(narrow, 0, above.slope), torch.where(narrow, curve.function(high), above.offset) + slack),
    )


def _above(function: Function, slope: Function, low: Tensor, high: Tensor) -> Line:
    """Return the line above a curve that is convex below 0 and concave above 0.

    Where the interval is above 0 it is the tangent at the middle. Elsewhere it is the tangent at the point d > 0 that
    passes through the curve's left end, or, where d lies beyond the interval, the chord. The bisection ends on the side
    of d where the tangent passes above the left end, so that the line is sound however early it ends.
    """

    def passes_above(d: Tensor) -> Tensor:
        return function(d) + slope(d) * (low - d) >= function(low)

    left, right = low.clamp(min=0), high.clamp(min=0)
    has_tangent = passes_above(right) & (high > 0)
    for _ in range(BISECTIONS):
        middle = (left + right) / 2
        enough = passes_above(middle)
        left, right = torch.where(enough, left, middle), torch.where(enough, middle, right)
    concave = low >= 0
    tangent = _tangent(function, slope, torch.where(concave, (low + high) / 2, right))
    chord, takes = _chord(function, low, high), has_tangent | concave
    return Line(torch.where(takes, tangent.slope, chord.slope), torch.where(takes, tangent.offset, chord.offset))


def _tangent(function: Function, slope: Function, at: Tensor) -> Line:
    steep = slope(at)
    return Line(steep, function(at) - steep * at)


def _chord(function: Function, low: Tensor, high: Tensor) -> Line:
    steep = (function(high) - function(low)) / (high - low).clamp(min=NARROW)
    return Line(steep, torch.maximum(function(low) - steep * low, function(high) - steep * high))
