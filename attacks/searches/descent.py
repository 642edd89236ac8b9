"""Projected steepest descent: FGSM, PGD, and descent of the best of many points. B batch, N starts, S observation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.noise import Noise
from attacks.objectives import STATIONARY_AT_CLEAN, Objective, default, needed
from attacks.searches.draws import drawing
from attacks.searches.sampling import best, best_few, loss, loss_and_gradient, scores
from attacks.target import GRADIENTS, Target
from attacks.threat import Threat


@dataclass(frozen=True, kw_only=True)
class Descend:
    """Projected steepest descent of the objective, from the clean point and from random ones.

    Steps are signs for linf and normalised for l2 (Madry et al. 2018, arXiv:1706.06083); one full step is FGSM
    (Goodfellow et al. 2015, arXiv:1412.6572). Each row keeps the best point it has visited, so it never ends above
    its start.

    objective   the function that is minimised; None means `value` if the target has a critic, else `action_difference`
    steps       gradients per start. More steps find lower points at a cost that grows with them; each is shorter if
                step_size is None.
    step_size   length of a step in units of eps, at most 2, the width of the ball. Long steps jump from edge to edge,
                short ones may not arrive. None means 2.5/steps: a start on one side of the ball reaches the other.
    restarts    random starts. More help where the objective has several minima, and cost as many descents. The clean
                point is a start as well, unless the objective is stationary there, as a distance to the clean action
                is; such an objective gets at least one random start.
    candidates  random points from which the best `restarts` are taken as starts, if more than `restarts`. RORL's mixed
                search (Yang et al. 2022, arXiv:2206.02829) descends from all of them.
    draw        distribution of random points: uniform, corner or gaussian (`attacks.searches.draws`)
    snap        whether the first and the last step also try the point on the boundary in their direction (a corner, for
                linf). Near-linear policies have their optimum there. From the clean point, the first of these is FGSM's
                point, so that a longer descent is never weaker than FGSM.
    """

    objective: Objective | None = None
    steps: int = 10
    step_size: float | None = None
    restarts: int = 1
    snap: bool = True
    candidates: int = 0
    draw: str = "uniform"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 0:
            raise ValueError(f"A descent needs steps >= 1 and restarts >= 0, not {self.steps} and {self.restarts}.")
        if self.candidates < 0 or (self.candidates and not self.restarts):
            raise ValueError(
                f"candidates are points among which the restarts are chosen: expected restarts >= 1 and a number that "
                f"is not negative, not restarts={self.restarts} and candidates={self.candidates}."
            )
        drawing(self.draw)
        if not 0 < self.length <= 2:
            raise ValueError(f"step_size is in units of eps and must be in (0, 2], not {self.step_size}.")

    @property
    def length(self) -> float:
        """Length of a step in units of eps."""
        return min(2.0, 2.5 / self.steps) if self.step_size is None else self.step_size

    def objective_for(self, target: Target) -> Objective:
        """Return the objective that the descent minimises on this target."""
        return self.objective or default(target)

    def needs(self, target: Target) -> tuple[str, ...]:
        """Return the field of the target that the objective needs, and `GRADIENTS`."""
        return (*needed(self.objective_for(target)), GRADIENTS)

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S), in the ball around obs (B, S); ValueError if the objective has no gradient in seen."""
        objective = self.objective_for(target)
        starts = self._starts(objective, target, obs, threat, noise)  # (B, N, S)
        n = starts.shape[1]
        row = torch.arange(len(obs), device=obs.device).repeat_interleave(n)
        ends, losses = self.descend(objective, target, obs[row], starts.flatten(0, 1), threat.rows(row))
        return threat.project(obs, best(ends.reshape(starts.shape), losses.reshape(-1, n)))

    def descend(
        self, objective: Objective, target: Target, obs: Tensor, start: Tensor, threat: Threat
    ) -> tuple[Tensor, Tensor]:
        """Return the best points (B, S) visited from start (B, S), and their objective (B,)."""
        seen = lowest_point = start
        lowest = torch.full_like(obs[:, 0], torch.inf)
        for step in range(self.steps):
            here, gradient = loss_and_gradient(objective, target, obs, seen)
            lowest_point, lowest = _keep(lowest_point, lowest, seen, here)
            seen = threat.project(obs, seen + self.length * threat.steepest(gradient))
            if self.snap and step in (0, self.steps - 1):
                edge = threat.project(obs, threat.boundary(obs, seen))
                lowest_point, lowest = _keep(lowest_point, lowest, edge, loss(objective, target, obs, edge))
        return _keep(lowest_point, lowest, seen, loss(objective, target, obs, seen))

    def _starts(self, objective: Objective, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        stationary = objective in STATIONARY_AT_CLEAN
        restarts = max(1, self.restarts) if stationary else self.restarts
        starts = [] if stationary else [obs.unsqueeze(1)]
        if restarts:
            drawn = drawing(self.draw)(threat, obs, noise, max(restarts, self.candidates))
            if self.candidates > restarts:
                drawn = best_few(drawn, scores(objective, target, obs, drawn), restarts)
            starts.append(drawn)
        return torch.cat(starts, dim=1)


def _keep(lowest_point: Tensor, lowest: Tensor, seen: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
    """Return the better of two points per row and its loss; a NaN loss is never better."""
    better = losses < lowest
    return torch.where(better.unsqueeze(1), seen, lowest_point), torch.where(better, losses, lowest)
