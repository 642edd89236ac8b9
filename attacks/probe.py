"""A probe compares an attack's point with cheaper points of the same ball, by the same objective.

B batch, S observation. The evaluator takes a probe after the attack, on a few observations. A probe draws from noise of
its own, so that the attack is the same with and without it.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from attacks.noise import Noise
from attacks.objectives import STATIONARY_AT_CLEAN, Objective, action_difference
from attacks.searches.sampling import loss, loss_and_gradient
from attacks.searches.targeted import target_distance
from attacks.target import Target
from attacks.threat import Threat

POINTS = 16
"""Largest number of random points of a probe: the black box has about the evaluations of FGSM, fewer than a descent."""

POINTS_PER_STEP = 8  # random points per gradient of the attack: one costs about three evaluations, FGSM three more

NOT_ALONE: frozenset[Objective] = frozenset({target_distance})
"""Objectives that read columns which only their attack adds to an observation; they cannot be evaluated outside it."""


@runtime_checkable
class Follower(Protocol):
    """An attack that follows `steps` gradients of its objective from each start; no other attack is probed."""

    @property
    def steps(self) -> int:
        """Gradients per start."""
        ...

    def objective_for(self, target: Target) -> Objective | None:
        """Return the objective that the attack minimises on this target."""
        ...


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The results of a probe, (B,) each; (n, K) for K probes of n episodes, NaN where an episode has fewer.

    chosen       objective at the attack's choice
    further      objective after one more full step down the gradient from there
    fgsm         objective after one full step from the start (the clean point, or a random one for a distance to it)
    random       objective at a random point
    blackbox     lowest objective at random points and at those of the boundary in their directions
    is_flat      1 where the gradient is zero at the start, at the attack's choice and at a random point
    is_blind     1 where it is, and yet the action has a gradient at that point: the critic has none
    used         share of the budget that the attack used, every sensor weighted by its gradient
    """

    chosen: Tensor
    further: Tensor
    fgsm: Tensor
    random: Tensor
    blackbox: Tensor
    is_flat: Tensor
    is_blind: Tensor
    used: Tensor


def probe(follower: Follower, target: Target, obs: Tensor, seen: Tensor, threat: Threat, noise: Noise) -> Probe | None:
    """Compare the attack's point seen (B, S) for obs (B, S) with cheaper points of the same ball.

    None if its objective cannot be evaluated outside the attack, or if it has none.
    """
    objective = follower.objective_for(target)
    if objective is None or objective in NOT_ALONE:
        return None
    points = _points(obs, threat, noise, min(POINTS, POINTS_PER_STEP * follower.steps))  # (B, N, S)
    is_distance = objective in STATIONARY_AT_CLEAN
    start = points[:, 0] if is_distance else obs
    _, at_start = loss_and_gradient(objective, target, obs, start)
    chosen, at_end = loss_and_gradient(objective, target, obs, seen)
    stepped = [threat.project(obs, start + threat.steepest(at_start))]
    stepped += [threat.project(obs, seen + threat.steepest(at_end))]
    others = torch.cat([torch.stack(stepped, 1), points], 1)  # (B, 2 + N, S)
    losses = loss(objective, target, obs.repeat_interleave(others.shape[1], 0), others.flatten(0, 1))
    fgsm, further, *drawn = losses.reshape(len(obs), -1).unbind(1)
    is_flat = is_zero(at_start, threat) & is_zero(at_end, threat)
    is_blind = torch.zeros_like(is_flat)
    if is_flat.any() and not is_distance:  # the gradient is zero at a minimum as well, but not everywhere
        is_flat &= is_zero(loss_and_gradient(objective, target, obs, points[:, 0])[1], threat)
        is_blind = is_flat & ~is_zero(loss_and_gradient(action_difference, target, obs, points[:, 0])[1], threat)
    return Probe(
        chosen=chosen,
        further=further,
        fgsm=fgsm,
        random=drawn[0],
        blackbox=torch.stack(drawn, 1).nan_to_num(nan=torch.inf).amin(1),
        is_flat=is_flat.to(chosen),
        is_blind=is_blind.to(chosen),
        used=_used(at_end, seen - obs, threat),
    )


def is_zero(gradient: Tensor, threat: Threat) -> Tensor:
    """Return (B,) whether the gradient (B, S) is zero on every sensor that the attacker may touch."""
    return ((gradient == 0) | (threat.half_width.to(gradient) == 0)).all(-1)


def _points(obs: Tensor, threat: Threat, noise: Noise, n: int) -> Tensor:
    """Random points (B, n, S): the first half uniform, the second half on the boundary in the same directions."""
    uniform = threat.sample(obs, noise, n // 2)
    row = torch.arange(len(obs)).repeat_interleave(n // 2)
    own, clean = threat.rows(row), obs[row]
    drawn = own.project(clean, uniform.flatten(0, 1))
    edge = own.project(clean, own.boundary(clean, drawn))
    return torch.cat([drawn.reshape(uniform.shape), edge.reshape(uniform.shape)], 1)


def _used(gradient: Tensor, change: Tensor, threat: Threat) -> Tensor:
    """Σ|gᵢδᵢ| over the same sum for a full step down the gradient: 1 for a corner, NaN where the gradient is zero."""
    return (gradient * change).abs().sum(-1) / (gradient * threat.steepest(gradient)).abs().sum(-1)
