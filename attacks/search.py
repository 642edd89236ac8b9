"""How an attacker looks for the worst point of the ball. B batch, N candidates, S observation.

A search is a record that can be called as an attack: `attack(target, obs, threat, noise) → seen`, all (B, S). It
keeps nothing between calls, needs no gradients switched on by its caller, and touches no parameter's `.grad`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.noise import Noise
from attacks.objectives import STATIONARY_AT_CLEAN, Objective, default
from attacks.target import Target
from attacks.threat import Threat

MOST_ROWS = 4096  # per evaluation: hidden layers of this many rows still fit into the cache
BLOCK_ROWS = 8  # matrix products of other sizes take other kernels for their last rows, whose last bits differ


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """A fresh uniform point of the ball: the baseline that every search has to beat."""

    def objective_for(self, target: Target) -> Objective | None:
        """Return None: nothing is minimised."""
        return None

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S)."""
        return threat.project(obs, threat.sample(obs, noise, 1)[:, 0])


@dataclass(frozen=True, kw_only=True)
class BestOf:
    """The best of n uniform points, drawn anew for every row, and of the clean point if include_clean.

    Zero-order search of RORL (Yang et al. 2022, arXiv:2206.02829), which needs no gradient. A point whose
    objective is NaN is never chosen over one with a number.
    """

    objective: Objective | None = None
    n: int = 50
    include_clean: bool = True

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1 candidate, not {self.n}.")

    def objective_for(self, target: Target) -> Objective:
        """Return the objective that is minimised on this target."""
        return self.objective or default(target)

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S)."""
        candidates = threat.sample(obs, noise, self.n)  # (B, N, S)
        if self.include_clean:
            candidates = torch.cat([obs.unsqueeze(1), candidates], dim=1)
        n = candidates.shape[1]
        clean, shown = obs.repeat_interleave(n, dim=0), candidates.flatten(0, 1)  # (B·N, S)
        losses = loss(self.objective_for(target), target, clean, shown).reshape(-1, n)
        return threat.project(obs, _best(candidates, losses))


@dataclass(frozen=True, kw_only=True)
class Descend:
    """Projected steepest descent of the objective, from the clean point and from random ones.

    Sign steps for linf, normalised steps for l2 (Madry et al. 2018, arXiv:1706.06083); one full step is FGSM
    (Goodfellow et al. 2015, arXiv:1412.6572). Each row keeps the best point it has visited, so it never ends above
    its start.

    objective  what is minimised; None means `value` if the target has a critic, else `action_difference`
    steps      gradients per start
    step_size  length of a step in units of eps, at most 2 (the width of the ball); None means 2.5/steps, with which
               a start on one side of the ball reaches the other
    restarts   random starts. The clean point is a start as well, unless the objective is stationary there (a
               distance to the clean action), which then gets at least one random start.
    snap       also try, after the first and the last step, the point of the boundary in the direction reached (a
               corner, for linf), where near-linear policies have their optimum; after the first step from the
               clean point that is FGSM's point, so a longer descent is never weaker than FGSM
    """

    objective: Objective | None = None
    steps: int = 10
    step_size: float | None = None
    restarts: int = 1
    snap: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 0:
            raise ValueError(f"A descent needs steps >= 1 and restarts >= 0, not {self.steps} and {self.restarts}.")
        if not 0 < self.length <= 2:
            raise ValueError(f"step_size is in units of eps and must be in (0, 2], not {self.step_size}.")

    @property
    def length(self) -> float:
        """Length of a step in units of eps."""
        return min(2.0, 2.5 / self.steps) if self.step_size is None else self.step_size

    def objective_for(self, target: Target) -> Objective:
        """Return the objective that is minimised on this target."""
        return self.objective or default(target)

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S); ValueError if the objective has no gradient with respect to it."""
        objective = self.objective_for(target)
        starts = self._starts(objective, obs, threat, noise)  # (B, N, S)
        n = starts.shape[1]
        row = torch.arange(len(obs), device=obs.device).repeat_interleave(n)
        ends, losses = self.descend(objective, target, obs[row], starts.flatten(0, 1), threat.rows(row))
        return threat.project(obs, _best(ends.reshape(starts.shape), losses.reshape(-1, n)))

    def descend(
        self, objective: Objective, target: Target, obs: Tensor, start: Tensor, threat: Threat
    ) -> tuple[Tensor, Tensor]:
        """Return the best points (B, S) visited from start (B, S), and their objective (B,)."""
        seen = best = start
        lowest = torch.full_like(obs[:, 0], torch.inf)
        for step in range(self.steps):
            here, gradient = loss_and_gradient(objective, target, obs, seen)
            best, lowest = _keep(best, lowest, seen, here)
            seen = threat.project(obs, seen + self.length * threat.steepest(gradient))
            if self.snap and step in (0, self.steps - 1):
                edge = threat.project(obs, threat.boundary(obs, seen))
                best, lowest = _keep(best, lowest, edge, loss(objective, target, obs, edge))
        return _keep(best, lowest, seen, loss(objective, target, obs, seen))

    def _starts(self, objective: Objective, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        stationary = objective in STATIONARY_AT_CLEAN
        restarts = max(1, self.restarts) if stationary else self.restarts
        starts = [] if stationary else [obs.unsqueeze(1)]
        if restarts:
            starts.append(threat.sample(obs, noise, restarts))
        return torch.cat(starts, dim=1)


def loss(objective: Objective, target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """Return the objective (B,) without its gradient."""
    with torch.no_grad():
        batches = _batches(obs, seen)
        return torch.cat([_values(objective, target, *rows)[:count] for rows, count in batches])


def loss_and_gradient(objective: Objective, target: Target, obs: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the objective (B,) and its gradient with respect to seen (B, S), NaN replaced by 0."""
    losses, gradients = [], []
    with torch.inference_mode(False), torch.enable_grad():
        for (clean, shown), count in _batches(obs, seen):
            leaf = shown.detach().clone().requires_grad_(True)
            values = _values(objective, target, clean.clone(), leaf)
            losses.append(values.detach()[:count])
            gradients.append(_gradient(values, leaf)[:count])
    return torch.cat(losses), torch.cat(gradients)


def _values(objective: Objective, target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    values = objective(target, obs, seen)
    if values.shape != obs.shape[:1]:  # (B, 1) would broadcast against (B,) without a word
        raise ValueError(
            f"An objective must return one number per row, shape {tuple(obs.shape[:1])}, "
            f"not {tuple(values.shape)}; check that the critic returns (B,)."
        )
    return values


def _gradient(values: Tensor, leaf: Tensor) -> Tensor:
    gradient = None
    if values.requires_grad:  # allow_unused: a term that ignores the observation has no gradient at all
        (gradient,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
    if gradient is None:
        raise ValueError(
            "The objective does not depend differentiably on the observation that the policy is shown, so a "
            "gradient attack has nothing to follow; use --attack random or min-q."
        )
    return gradient.nan_to_num(nan=0.0)


def _batches(obs: Tensor, seen: Tensor) -> Iterator[tuple[tuple[Tensor, Tensor], int]]:
    """Yield equal parts of the rows, padded to whole blocks, so that a row's result does not depend on the others."""
    parts = max(1, -(-len(obs) // MOST_ROWS))
    for clean, shown in zip(obs.tensor_split(parts), seen.tensor_split(parts), strict=True):
        count = len(clean)
        if count % BLOCK_ROWS:
            padded = torch.arange(-(-count // BLOCK_ROWS) * BLOCK_ROWS, device=obs.device) % count
            clean, shown = clean[padded], shown[padded]
        yield (clean, shown), count


def _best(candidates: Tensor, losses: Tensor) -> Tensor:
    """Return the candidate (B, S) of (B, N, S) with the lowest loss (B, N); NaN counts as infinitely bad."""
    index = losses.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).argmin(1)  # (B,)
    return candidates[torch.arange(len(candidates), device=candidates.device), index]


def _keep(best: Tensor, lowest: Tensor, seen: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
    """Return the better of two points per row and its loss; a NaN loss is never better."""
    better = losses < lowest
    return torch.where(better.unsqueeze(1), seen, best), torch.where(better, losses, lowest)
