"""Random attacks, and searches that evaluate an objective at points of the ball. B batch, N candidates, S observation.

A search is a record that can be called as an attack: `attack(target, obs, threat, noise) → seen`, all (B, S). It
keeps nothing between calls, needs no gradients switched on by its caller, and changes no parameter's `.grad`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.noise import Noise
from attacks.objectives import Objective, default, needed
from attacks.searches.draws import drawing
from attacks.target import Target
from attacks.threat import Threat

MOST_ROWS = 4096  # rows per call of an objective: hidden layers of this many rows still fit into the cache
BLOCK_ROWS = 8  # rows of a block: products of other sizes use other kernels for their last rows, and round differently


@dataclass(frozen=True, kw_only=True)
class Random:
    """A fresh random point of the ball: the baseline that every search has to beat.

    draw  uniform, corner or gaussian (`attacks.searches.draws`)
    """

    draw: str = "uniform"

    def __post_init__(self) -> None:
        drawing(self.draw)

    def objective_for(self, target: Target) -> Objective | None:
        """Return None: nothing is minimised."""
        return None

    def needs(self, target: Target) -> tuple[str, ...]:
        """Return the fields of the target that it needs: none."""
        return ()

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S): one random point per row."""
        return threat.project(obs, drawing(self.draw)(threat, obs, noise, 1)[:, 0])


@dataclass(frozen=True, kw_only=True)
class BestOf:
    """The best of n random points, drawn anew for every row, and of the clean point if include_clean.

    The zero-order search of RORL (Yang et al. 2022, arXiv:2206.02829); it needs no gradient. A point whose objective is
    NaN is never chosen over one with a number.

    objective      the function that is minimised; None means `value` if the target has a critic, else
                   `action_difference`
    n              random points per row; each is one evaluation of the objective, and the best improves slowly with n
    include_clean  whether the clean point is a candidate, so that the result is never worse than no attack
    draw           uniform, corner or gaussian (`attacks.searches.draws`)
    """

    objective: Objective | None = None
    n: int = 50
    include_clean: bool = True
    draw: str = "uniform"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1 candidate, not {self.n}.")
        drawing(self.draw)

    def objective_for(self, target: Target) -> Objective:
        """Return the objective that the search minimises on this target."""
        return self.objective or default(target)

    def needs(self, target: Target) -> tuple[str, ...]:
        """Return the field of the target that the objective needs."""
        return needed(self.objective_for(target))

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S), the candidate with the lowest objective."""
        candidates = drawing(self.draw)(threat, obs, noise, self.n)  # (B, N, S)
        if self.include_clean:
            candidates = torch.cat([obs.unsqueeze(1), candidates], dim=1)
        losses = scores(self.objective_for(target), target, obs, candidates)
        return threat.project(obs, best(candidates, losses))


def scores(objective: Objective, target: Target, obs: Tensor, candidates: Tensor) -> Tensor:
    """Return the objective (B, N) of the candidates (B, N, S)."""
    n = candidates.shape[1]
    clean, shown = obs.repeat_interleave(n, dim=0), candidates.flatten(0, 1)  # (B·N, S)
    return loss(objective, target, clean, shown).reshape(-1, n)


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
            "The objective is not differentiable in the observation that the policy receives, so a "
            "gradient attack has nothing to follow; use the attack random or min-q."
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


def best(candidates: Tensor, losses: Tensor) -> Tensor:
    """Return the candidate (B, S) of (B, N, S) with the lowest loss (B, N); NaN counts as infinitely bad."""
    index = _ranked(losses).argmin(1)  # (B,)
    return candidates[torch.arange(len(candidates), device=candidates.device), index]


def best_few(candidates: Tensor, losses: Tensor, n: int) -> Tensor:
    """Return the n candidates (B, n, S) of (B, N, S) with the lowest losses (B, N), the lowest first."""
    index = _ranked(losses).argsort(dim=1, stable=True)[:, :n]  # (B, n)
    return candidates[torch.arange(len(candidates), device=candidates.device).unsqueeze(1), index]


def _ranked(losses: Tensor) -> Tensor:
    return losses.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
