"""Signs that a robustness number is too good: pure functions an evaluation calls beside an attack.

n episodes, K probes of each, B batch, S observation.

The idea of checking one's own attack with flags is AutoAttack's (Croce and Hein 2020, arXiv:2003.01690).
"""

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor

from attacks.objectives import Objective
from attacks.probe import Probe
from attacks.searches.sampling import loss_and_gradient
from attacks.target import Policy, Target

WEAKEST_LAST = ("pgd", "fgsm", "random")

FEWEST = 4
"""Probes of an episode, at least, where means are compared."""

NEARLY_ALL = 0.9  # of the probes of an episode

BEYOND = 2.0
"""Standard errors that a mean difference must exceed: probes of an episode are few."""

ROUNDING = 1e-5
"""Of an objective's size: float32 keeps seven digits, and sums lose one or two of them."""

LITTLE = 0.25  # of the budget

FAR = 0.5
"""Of a proven bound: an attack that reaches less leaves more than half of it open."""


def far_below_bound(change: Tensor, bound: Tensor) -> tuple[str, ...]:
    """Return the flag `far-below-bound`, or none, for the changes (B,) that attacks reach and their bounds (B,).

    Raised if the mean change is less than half of the mean bound: what lies between the two is not known.
    """
    return ("far-below-bound",) if float(change.mean()) < FAR * float(bound.mean()) else ()


def zero_gradient(objective: Objective, target: Target, obs: Tensor, seen: Tensor | None = None) -> Tensor:
    """Return (B,) whether the objective's gradient vanishes at seen (default: at the clean point).

    A saturated tanh does this, and always a distance to the clean action at the clean point. NaN counts as 0.
    """
    _, gradient = loss_and_gradient(objective, target, obs, obs if seen is None else seen)
    return (gradient == 0).all(-1)


def stochastic_policy(policy: Policy, obs: Tensor) -> bool:
    """Return whether two calls on the same obs (B, S) give different actions."""
    with torch.no_grad():
        return not torch.equal(policy(obs).nan_to_num(), policy(obs).nan_to_num())


def loss_order(losses: Mapping[str, float], tolerance: float = 0.0) -> list[str]:
    """Return every violation of pgd ≤ fgsm ≤ random among mean objectives, as "fgsm > random".

    The means must be of one minimised objective over the same observations; absent names are skipped.
    """
    present = [name for name in WEAKEST_LAST if name in losses]
    return [
        f"{strong} > {weak}" for strong, weak in combinations(present, 2) if losses[strong] > losses[weak] + tolerance
    ]


def suspicions(found: Probe) -> dict[str, Tensor]:
    """Return for every flag whether each of n episodes (n,) raises it, from its probes (n, K)."""
    is_flat, is_blind = (_share(marks) >= NEARLY_ALL for marks in (found.is_flat, found.is_blind))
    is_short = (_share(found.used) < LITTLE) & exceeds(found.chosen, found.further)
    return {
        "zero-gradient": is_flat & ~is_blind,
        "no-critic-gradient": is_blind,
        "loss-order": exceeds(found.chosen, found.fgsm) | exceeds(found.chosen, found.random),
        "blackbox-beats-whitebox": exceeds(found.chosen, found.blackbox),
        "unused-budget": is_short,
    }


def exceeds(high: Tensor, low: Tensor) -> Tensor:
    """Return (n,) whether the mean of high − low (n, K) is above 0 beyond rounding and BEYOND standard errors.

    NaN and infinite differences are left out; fewer than FEWEST others show nothing.
    """
    difference = high.double() - low.double()
    there = difference.isfinite()
    difference = torch.where(there, difference, torch.nan)
    count = there.sum(-1)
    mean = difference.nanmean(-1)
    spread = (difference - mean.unsqueeze(-1)).square().nansum(-1) / (count - 1)
    size = torch.where(there, high.double().abs(), torch.nan).nanmean(-1)
    return (count >= FEWEST) & (mean > BEYOND * (spread / count).sqrt()) & (mean > ROUNDING * size)


def _share(marks: Tensor) -> Tensor:
    """Return the mean (n,) of what is there of (n, K); NaN, which compares as false, where nothing is."""
    return marks.double().nanmean(-1)
