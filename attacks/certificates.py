"""Certificates: by how much a feed-forward policy's action can change inside a budget, whatever the attack.

An attack shows one change; a certificate proves that none is larger. The largest change itself lies between the two.

ibp    interval bound propagation, Gowal et al. 2018, arXiv:1810.12715: every unit by itself, layer after layer
crown  linear relaxation, Zhang et al. 2018, arXiv:1811.00866: lines below and above every unit, put together backwards
       from the output to the observation, where the dual norm gives the extreme over the ball

Everything is computed in float64, with slack outwards for its rounding. The bounds hold for the network in exact
arithmetic and for every observation that `Threat.project` returns; a policy in float32 differs from that network by
its own rounding, about 1e-6 of an action. B batch, S observation, N units of a layer, A action.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.feedforward import Feedforward
from attacks.relaxation import Line, lines
from attacks.threat import Threat

ROWS = 64  # bounded at once, fewer of wide networks
MATRICES = 2**24  # numbers of CROWN's matrices that are kept at once: one of 2N × N per row
ROUNDING = 1e-13  # of one product in float64, relative to the sizes that it adds up
OUTWARDS = (1e-9, 1e-12)  # relative and absolute slack of a change


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """Where the normalised observation may be: centre + box·[−1, 1]ˢ + ball·(unit ball of l2), all (B, S).

    Sensors that share the budget of an ellipsoid have a `ball`; a sensor with limits of its own has a `box`.
    """

    centre: Tensor
    box: Tensor
    ball: Tensor

    def highest(self, weight: Tensor) -> Tensor:
        """Return the largest value (B, N) of weight·x, with weight (N, S) or (B, N, S): the centre plus dual norms."""
        spread = _times(weight.abs(), self.box)
        spread = spread + _times(weight.square(), self.ball.square()).sqrt()
        size = _times(weight.abs(), self.centre.abs() + self.box + self.ball)
        return _times(weight, self.centre) + spread + ROUNDING * size


Method = Callable[[Feedforward, Region], tuple[Tensor, Tensor]]


def region(network: Feedforward, obs: Tensor, threat: Threat) -> Region:
    """Return what the first layer may be shown in the budget around obs (B, S).

    In an ellipsoid, a sensor that the range of the data or the clip of the normalisation cuts off is bounded by itself,
    which is a larger set than the cut ellipsoid. Budgets are widened by the rounding of obs + change, as in
    `Threat.inside`.
    """
    if threat.norm == "linf":
        low, high = (network.normalised(end).clamp(-network.clip, network.clip) for end in threat.reach(obs))
        return Region(centre=(low + high) / 2, box=(high - low) / 2, ball=torch.zeros_like(low))
    exact, half = obs.double(), threat.half_width.to(obs).double().expand_as(obs)
    scale = threat.scale.to(obs).double()
    eps = torch.as_tensor(threat.eps, dtype=torch.float64, device=obs.device).expand(len(obs), 1)
    slack = torch.finfo(obs.dtype).eps * (exact.abs() + half) / torch.where(scale > 0, scale, torch.inf)
    radius = torch.where(eps > 0, eps + 2 * torch.linalg.vector_norm(slack, dim=-1, keepdim=True), 0.0)
    half = radius * scale
    low, high = exact - half, exact + half
    if threat.low is not None:
        low = torch.maximum(low, torch.minimum(threat.low.to(exact), exact))
    if threat.high is not None:
        high = torch.minimum(high, torch.maximum(threat.high.to(exact), exact))
    ends = [network.normalised(end).clamp(-network.clip, network.clip) for end in (low, high)]
    free = (low <= exact - half) & (high >= exact + half)
    for end, open_end in zip(ends, (low, high), strict=True):
        free &= network.normalised(open_end) == end
    wide = (ends[1] - ends[0]) / 2
    return Region(
        centre=torch.where(free, network.normalised(exact), (ends[0] + ends[1]) / 2),
        box=torch.where(free, 0.0, wide),
        ball=torch.where(free, network.normalised(exact + half) - network.normalised(exact), 0.0),
    )


def ibp(network: Feedforward, inputs: Region) -> tuple[Tensor, Tensor]:
    """Return lowest and highest last-layer outputs (B, A) by intervals; the first layer is exact."""
    *hidden, last = network.layers
    inside = inputs
    for weight, bias in hidden:
        low, high = (network.curve.function(end) for end in _affine(inside, weight, bias))
        inside = Region(centre=(low + high) / 2, box=(high - low) / 2, ball=torch.zeros_like(low))
    return _affine(inside, *last)


def crown(network: Feedforward, inputs: Region) -> tuple[Tensor, Tensor]:
    """Return lowest and highest last-layer outputs (B, A) by linear relaxation; intervals inside are CROWN's own."""
    relaxed: list[tuple[Line, Line]] = []
    for depth in range(len(network.layers)):
        low, high = _backwards(network, relaxed, inputs, depth)
        if depth < len(network.layers) - 1:
            relaxed.append(lines(network.curve, low, torch.maximum(low, high)))
    return low, high


METHODS: Mapping[str, Method] = {"ibp": ibp, "crown": crown}


def largest_change(network: Feedforward, obs: Tensor, threat: Threat, method: str = "crown") -> Tensor:
    """Return bounds (B, A) of |π(ŝ) − π(s)| for every ŝ in the budget around s, rows of obs (B, S).

    In units of the executed action, float64; exactly 0 where there is no budget. Of one layer they are the largest
    change itself: |W|·(eps·scale) for linf, ‖W·(eps·scale)‖₂ for l2.

    Raises:
        KeyError: no such method (`METHODS`).
        ValueError: the observations have another size than the threat.
    """
    bound, size = METHODS[method], threat.scale.shape[0]
    if obs.ndim != 2 or obs.shape[1] != size or network.layers[0][0].shape[1] != size:
        raise ValueError(f"A certificate needs obs (B, {size}) of a network with {size} inputs, not {obs.shape}.")
    with torch.no_grad():
        widest = max(max(weight.shape) for weight, _ in network.layers)
        parts = torch.split(torch.arange(len(obs)), max(1, min(ROWS, MATRICES // (2 * widest**2))))
        changes = [_change(network, part, threat.rows(part), obs, bound) for part in parts]
    return torch.cat(changes)


def _change(network: Feedforward, part: Tensor, threat: Threat, obs: Tensor, bound: Method) -> Tensor:
    some = obs[part]
    inputs = region(network, some, threat)
    low, high = (network.output(end) for end in bound(network, inputs))
    clean = network(some)
    change = torch.maximum(high - clean, clean - low).clamp(min=0)
    relative, absolute = OUTWARDS
    still = ((inputs.box == 0) & (inputs.ball == 0)).all(-1, keepdim=True)
    return torch.where(still, 0.0, change * (1 + relative) + absolute)


def _affine(inputs: Region, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return lowest and highest values (B, N) of weight·x + bias."""
    return bias - inputs.highest(-weight), bias + inputs.highest(weight)


def _backwards(
    network: Feedforward, relaxed: list[tuple[Line, Line]], inputs: Region, depth: int
) -> tuple[Tensor, Tensor]:
    """Return lowest and highest inputs (B, N) of the units after layer `depth` (equations 5 and 6 of CROWN).

    The lowest value of z is minus the highest of −z: both are found at once, in 2N rows. Where a coefficient is
    positive the line above counts, where it is negative the line below.
    """
    weight, bias = network.layers[depth]
    slope = torch.cat([weight, -weight]).expand(len(inputs.centre), -1, -1)  # (B, 2N, units of the layer below)
    offset = torch.cat([bias, -bias]).expand(len(inputs.centre), -1)  # (B, 2N)
    size = offset.abs()
    for below in range(depth - 1, -1, -1):
        low, high = relaxed[below]
        up, down = slope.clamp(min=0), slope.clamp(max=0)
        offset = offset + _times(up, high.offset) + _times(down, low.offset)
        size = size + _times(slope.abs(), torch.maximum(high.offset.abs(), low.offset.abs()))
        slope = up * high.slope.unsqueeze(1) + down * low.slope.unsqueeze(1)
        weight, bias = network.layers[below]
        offset, size = offset + slope @ bias, size + slope.abs() @ bias.abs()
        slope = slope @ weight
    highest = inputs.highest(slope) + offset + ROUNDING * size
    count = highest.shape[1] // 2
    return -highest[:, count:], highest[:, :count]


def _times(weight: Tensor, values: Tensor) -> Tensor:
    """Return weight·values (B, N) for weight (N, S) or (B, N, S) and values (B, S)."""
    return values @ weight.T if weight.ndim == 2 else (weight @ values.unsqueeze(-1)).squeeze(-1)
