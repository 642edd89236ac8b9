"""The searches of earlier suites, for comparison with their published numbers only; each preset names its fault.

A preset runs as its authors' code does with a single environment, where the points that RORL and MICRO draw once for a
batch belong to one row, as here. Whatever point a search returns is projected into the budget. Steps are signs of
gradients: the first step of a new Adam is a sign, and RORL makes a new Adam at every step.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from attacks.noise import Noise
from attacks.objectives import (
    Objective,
    action_difference,
    action_kl,
    needed,
    q_first,
    q_mean,
    q_min,
    q_std,
    state_value,
)
from attacks.searches.sampling import BestOf, Random, best, loss_and_gradient, scores
from attacks.target import GRADIENTS, Target
from attacks.threat import Threat

BALL, ONE_STEP, SIGNS = "ball", "one-step", "signs"
STARTS = (BALL, ONE_STEP, SIGNS)


@dataclass(frozen=True, kw_only=True)
class SignSteps:
    """Steps of fixed length along the sign of the gradient; the last point is returned, not the best.

    objective  the function that is minimised
    steps      gradients per start; more steps reach farther, at a cost that grows with them
    length     length of a step in units of eps, or in raw numbers for every sensor alike if `raw`. If steps · length
               is below 1, a start may not reach the edge of the ball.
    starts     number of random starts; the one with the lowest objective at its end is returned
    start      ball: uniform in the budget; one-step: uniform within the length of a step; signs: a step of random signs
    langevin   whether Gaussian noise of √(2·length·eps)/(i + 2) is added to the gradient in step i, before its sign
    in_range   whether the last point is clipped to the range of the data
    """

    objective: Objective
    steps: int = 10
    length: float = 0.1
    raw: bool = False
    starts: int = 1
    start: str = BALL
    langevin: bool = False
    in_range: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.starts < 1 or not 0 < self.length < float("inf") or self.start not in STARTS:
            raise ValueError(
                f"Published steps need steps and starts of at least 1, a positive length, and a start among "
                f"{', '.join(STARTS)}."
            )

    def objective_for(self, target: Target) -> Objective:
        """Return the objective of the record, whatever the target."""
        return self.objective

    def needs(self, target: Target) -> tuple[str, ...]:
        """Return the fields of the target that it needs, and `GRADIENTS`."""
        return (*needed(self.objective), GRADIENTS, *(("obs_bounds",) if self.in_range else ()))

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S)."""
        row = torch.arange(len(obs), device=obs.device).repeat_interleave(self.starts)
        clean, ball = obs[row], threat.rows(row)
        seen = ball.project(clean, self._starts(obs, threat, noise).flatten(0, 1))
        for step in range(self.steps):
            gradient = self._disturbed(loss_and_gradient(self.objective, target, clean, seen)[1], ball, noise, step)
            seen = ball.project(clean, seen - self._step(ball, obs) * gradient.sign())
        ends = seen.reshape(len(obs), self.starts, obs.shape[1])
        chosen = ends[:, 0] if self.starts == 1 else best(ends, scores(self.objective, target, obs, ends))
        if self.in_range:
            low, high = (end.to(obs) for end in target.require_obs_bounds())
            chosen = torch.where(threat.half_width.to(obs) > 0, _cut(chosen, low, high), obs)
        return threat.project(obs, chosen)

    def _starts(self, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """The starting points (B, N, S)."""
        if self.start == BALL:
            return threat.sample(obs, noise, self.starts)
        shape = (self.starts, obs.shape[-1])
        drawn = (noise.normal(*shape).sign() if self.start == SIGNS else noise.uniform(*shape)).to(obs)
        return obs.unsqueeze(1) + self.length * threat.half_width.to(obs).unsqueeze(-2) * drawn

    def _step(self, ball: Threat, obs: Tensor) -> Tensor:
        """The raw length of a step, per sensor: (S,), or (B, S) if eps is given per row."""
        if not self.raw:
            return self.length * ball.half_width.to(obs)
        eps = torch.as_tensor(ball.eps).to(obs)
        return self.length * eps * (ball.scale > 0).to(obs)

    def _disturbed(self, gradient: Tensor, ball: Threat, noise: Noise, step: int) -> Tensor:
        """The gradient in units of eps, with Langevin noise if `langevin`."""
        gradient = gradient * ball.scale.to(gradient)
        if not self.langevin:
            return gradient
        drawn = noise.normal(self.starts, gradient.shape[-1]).flatten(0, 1).to(gradient)
        return gradient + (2 * self.length * torch.as_tensor(ball.eps).to(gradient)).sqrt() / (step + 2) * drawn


def _cut(seen: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The observation (B, S + H) with its S sensors clipped to the range (S,) of the data; a memory H stays."""
    sensed = seen[:, : len(low)]
    return torch.cat([torch.clamp(sensed, low, high), seen[:, len(low) :]], 1)


COMPAT: Mapping[str, BestOf | Random | SignSteps] = {
    # Yang et al. 2022, RORL (arXiv:2206.02829). Its steps of 0.1·eps are raw while its box is eps·std: sensors with a
    # large std are hardly moved, those with a small one are thrown from edge to edge.
    "compat:rorl-min-q": BestOf(objective=q_mean, n=50, include_clean=True),
    "compat:rorl-min-q-first": SignSteps(objective=q_mean, raw=True),
    "compat:rorl-min-q-mixed": SignSteps(objective=q_mean, raw=True, starts=20),
    "compat:rorl-action-diff": BestOf(objective=action_kl, n=50, include_clean=False),
    "compat:rorl-action-diff-first": SignSteps(objective=action_kl, raw=True),
    "compat:rorl-action-diff-mixed": SignSteps(objective=action_kl, raw=True, starts=20),
    "compat:rorl-q-std": BestOf(objective=q_std, n=50, include_clean=True),
    # Liu et al. 2024, MICRO's reference code (arXiv:2312.03991): zero order alone. Its std is over an axis of length 1,
    # NaN for every candidate, and argmin takes the first of 51 NaN: a random point.
    "compat:micro-min-q": BestOf(objective=q_min, n=50, include_clean=True),
    "compat:micro-action-diff": BestOf(objective=action_kl, n=50, include_clean=False),
    "compat:micro-q-std": Random(),
    # Zhang et al. 2020, SA-PPO (arXiv:2003.08938), meant for --unit policy-norm: ten steps of eps/10. MAD's weights
    # 1/std are dropped for a deterministic policy; the critic attack lowers V where it is shown, not Q of the action.
    "compat:sa-ppo-random": Random(),
    "compat:sa-ppo-mad": SignSteps(objective=action_difference, start=SIGNS, langevin=True),
    "compat:sa-ppo-critic": SignSteps(objective=state_value, start=ONE_STEP),
    # TIRL: ten steps of eps/10 from anywhere in the ball do not cross it; one critic of two; the end is cut to the
    # range of the data even where the true observation is beyond it.
    "compat:tirl-min-q": SignSteps(objective=q_first, in_range=True),
    "compat:tirl-actor-mad": SignSteps(objective=action_difference, in_range=True),
    # RobustRLlib, meant for --unit raw. How long its steps are is not published: 2.5·eps/10 here.
    "compat:robustrllib-adversarial": SignSteps(objective=action_difference, length=0.25),
}
"""Presets by name, none of them in SUITE; docs/catalogue.md describes each search and its fault."""
