"""The threat model: the ball of adversarial observations around a true one, measured per sensor in a named unit.

B batch, N candidates, S observation. One unit of eps on sensor i is `scale[i]` in raw observation units.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from attacks.adapted import as_vector
from attacks.noise import Noise
from attacks.projection import into_ball

UNITS = ("dataset-std", "policy-norm", "rollout-std", "raw", "range")
NORMS = ("linf", "l2")


@dataclass(frozen=True, kw_only=True, eq=False)
class Threat:
    """All observations `seen` with ‖(seen − obs)/scale‖ ≤ eps and, with low and high, low ≤ seen ≤ high.

    eps    budget in units: a number, or one per row (B, 1); a larger ball contains every smaller one
    scale  raw half-width (S,) of one unit; 0 closes a sensor to the attacker
    unit   name of that unit, stored with every result
    norm   linf: a box of half-width eps·scale; l2: the ellipsoid inscribed in that box
    low    smallest observation (S,) that the attacker may produce, for example that of the data; None for no bound
    high   largest such observation (S,). A sensor whose true value is beyond a bound may stay or come back, but not go
           farther out.
    """

    eps: float | Tensor
    scale: Tensor
    unit: str = "dataset-std"
    norm: Literal["linf", "l2"] = "linf"
    low: Tensor | None = None
    high: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("scale", "low", "high"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_vector(name, getattr(self, name)))
        eps = torch.as_tensor(self.eps)
        if eps.ndim not in (0, 2) or (eps.ndim == 2 and eps.shape[1] != 1):
            raise ValueError(f"eps must be a number or have shape (B, 1), not {tuple(eps.shape)}.")
        if not _finite_and_not_negative(eps):
            raise ValueError(f"eps must be finite and at least 0, not {self.eps}.")
        if self.scale.ndim != 1 or not _finite_and_not_negative(self.scale):
            raise ValueError("scale must be a vector (S,) of finite numbers that are at least 0 (0 hides a sensor).")
        if self.norm not in NORMS:
            raise ValueError(f"The norm {self.norm!r} is unknown; choose one of: {', '.join(NORMS)}.")
        if self.unit not in UNITS:
            raise ValueError(f"The unit {self.unit!r} is unknown; choose one of: {', '.join(UNITS)}.")
        for bound in (self.low, self.high):
            if bound is not None and (bound.shape != self.scale.shape or bool(bound.isnan().any())):
                raise ValueError(f"low and high must be numbers, one per sensor: shape {tuple(self.scale.shape)}.")

    @property
    def half_width(self) -> Tensor:
        """Largest raw change of every sensor, eps·scale: (S,), or (B, S) if eps is given per row."""
        eps = self.eps.to(self.scale) if isinstance(self.eps, Tensor) else self.eps
        return eps * self.scale

    def rows(self, index: Tensor | Sequence[int]) -> "Threat":
        """Return the threat for the chosen rows (integers or a Boolean mask); a common eps stays as it is."""
        if isinstance(self.eps, Tensor) and self.eps.ndim == 2:
            return replace(self, eps=self.eps[index])
        return self

    @property
    def bounded(self) -> bool:
        """Whether low or high bounds the observations."""
        return self.low is not None or self.high is not None

    def reach(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest value (B, S) that the attacker may give each sensor of obs (B, S)."""
        half = self.half_width.to(obs)
        lowest, highest = obs - half, obs + half
        if self.low is not None:
            lowest = torch.maximum(lowest, torch.minimum(self.low.to(obs), obs))
        if self.high is not None:
            highest = torch.minimum(highest, torch.maximum(self.high.to(obs), obs))
        return lowest, highest

    def project(self, obs: Tensor, seen: Tensor) -> Tensor:
        """Return the point of the ball around obs (B, S) nearest to seen (B, S), in the units of eps.

        Sensors without budget (eps or scale 0) return obs bit for bit; the result has the dtype of obs.
        A row of obs that is NaN stays NaN. ValueError if seen is no tensor of the shape of obs, or is not finite where
        obs is finite: a projection would hide that fault of the attack.
        """
        seen, half = self._checked(obs, seen), self.half_width.to(obs)
        if self.norm == "linf":
            inside = torch.clamp(seen, *self.reach(obs))
        else:
            rooms = tuple(self._in_units((end - obs).abs()) for end in self.reach(obs)) if self.bounded else None
            shrink = into_ball(self._in_units(seen - obs), self._radius(obs), rooms)  # (B, 1)
            inside = torch.where(shrink == 1, seen, obs + ((seen - obs) * shrink).to(obs))
            inside = torch.clamp(inside, *self.reach(obs)) if self.bounded else inside
        return torch.where(half > 0, inside, obs)

    def sample(self, obs: Tensor, noise: Noise, n: int) -> Tensor:
        """Return n points (B, N, S) drawn uniformly from the ball of each row of obs (B, S).

        With low and high, points are uniform in the part of the box within them (linf), or clipped to them (l2).
        """
        half = self.half_width.to(obs).unsqueeze(-2)  # (1 or B, 1, S)
        if self.norm == "linf":
            offset = noise.uniform(n, obs.shape[-1]).to(obs)
        else:
            # A direction times a radius with density ∝ r^(d−1) is uniform in the ball of the d open sensors.
            open_sensors = (self.scale > 0).to(obs)
            direction = _direction(noise.normal(n, obs.shape[-1]).to(obs) * open_sensors)
            dimension = max(1, int(open_sensors.sum()))
            offset = direction * noise.uniform(n, 1).to(direction).abs() ** (1 / dimension)
        clean = obs.unsqueeze(-2).expand_as(offset)  # (B, N, S)
        if not self.bounded:
            return torch.where(half > 0, clean + (half * offset).to(obs), clean)
        lowest, highest = (end.unsqueeze(-2) for end in self.reach(obs))
        drawn = lowest + (offset + 1) / 2 * (highest - lowest) if self.norm == "linf" else clean + half * offset
        return torch.where(half > 0, torch.clamp(drawn.to(obs), lowest, highest), clean)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the change (B, S) of length eps that lowers a linear function with this gradient most.

        linf: −eps·scale·sign(g); l2: −eps·scale·(scale·g)/‖scale·g‖. Zero where the gradient is zero.
        """
        half = self.half_width.to(gradient)
        if self.norm == "linf":
            return -half * gradient.sign()
        return (-half * _direction(gradient.double() * self.scale.to(gradient))).to(gradient)

    def edge(self, obs: Tensor, direction: Tensor) -> Tensor:
        """Return the point (B, S) on the edge of the ball in a raw direction (B, S): a corner, for linf."""
        half = self.half_width.to(obs)
        if self.norm == "linf":
            return obs + half * direction.sign()
        return obs + (half * _direction(self._in_units(direction))).to(obs)

    def boundary(self, obs: Tensor, seen: Tensor) -> Tensor:
        """Return the point (B, S) on the edge of the ball in the direction of seen (B, S), without low and high."""
        return self.edge(obs, seen - obs)

    def inside(self, obs: Tensor, seen: Tensor) -> Tensor:
        """Return (B,) whether each row of seen is in the ball around obs, up to the rounding of obs + change.

        Sensors without budget must be equal bit for bit. A row with NaN is never inside.
        """
        half = self.half_width.to(obs).double()
        change = (seen.double() - obs.double()).abs()
        slack = torch.finfo(obs.dtype).eps * (obs.double().abs() + half)
        closed = ((change == 0) | ((half > 0) & change.isfinite())).all(-1)
        if self.bounded:
            lowest, highest = self.reach(obs)
            closed &= ((change == 0) | ((seen >= lowest) & (seen <= highest))).all(-1)
        if self.norm == "linf":
            return closed & ((change <= half + slack) | (half == 0)).all(-1)
        length = torch.linalg.vector_norm(self._in_units(change), dim=-1)
        allowed = self._radius(obs).squeeze(-1) + torch.linalg.vector_norm(self._in_units(slack), dim=-1)
        within: Tensor = length <= allowed
        return closed & within

    def _in_units(self, change: Tensor) -> Tensor:
        """Return change/scale (B, S) in double precision, 0 on hidden sensors and where obs is NaN."""
        scale = self.scale.to(change.device, torch.float64)
        return torch.where(scale > 0, change.double() / scale, 0.0).nan_to_num(nan=0.0)

    def _radius(self, obs: Tensor) -> Tensor:
        """Return eps in double precision, rounded first as in half_width: a number and (B, 1) give one result."""
        return torch.as_tensor(self.eps, dtype=self.scale.dtype).to(obs.device, torch.float64)

    def _checked(self, obs: Tensor, seen: object) -> Tensor:
        if obs.shape[-1] != len(self.scale):
            raise ValueError(
                f"The observations have {obs.shape[-1]} sensors and the scale of the threat has "
                f"{len(self.scale)}; use the scale of this task."
            )
        if not isinstance(seen, Tensor) or seen.shape != obs.shape:
            got = tuple(seen.shape) if isinstance(seen, Tensor) else type(seen).__name__
            raise ValueError(f"An attack must return a tensor shaped like obs, {tuple(obs.shape)}, not {got}.")
        seen = seen.to(obs)
        if bool((~seen.isfinite() & obs.isfinite()).any()):
            raise ValueError("The attack returned NaN or infinity where obs is finite; it must return numbers.")
        return seen


def _finite_and_not_negative(values: Tensor) -> bool:
    return bool((values.isfinite() & (values >= 0)).all())


def _direction(vector: Tensor) -> Tensor:
    """Return vector/‖vector‖ along the last axis, 0 for the zero vector."""
    unit: Tensor = normalize(vector.double(), dim=-1, eps=1e-300)
    return unit
