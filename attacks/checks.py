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
"""Least number of probes of an episode from which means are compared."""

NEARLY_ALL = 0.9  # share of an episode's probes that must raise a flag

BEYOND = 2.0
"""Number of standard errors that a mean difference must exceed, because an episode has few probes."""

ROUNDING = 1e-5
"""Relative rounding error of an objective: float32 keeps seven digits, and sums lose one or two of them."""

LITTLE = 0.25  # share of the budget below which an attack counts as short

FAR = 0.5
"""Of a proven bound: an attack that reaches less leaves more than half of it open."""


def far_below_bound(change: Tensor, bound: Tensor) -> tuple[str, ...]:
    """Return the flag `far-below-bound`, or none, for the changes (B,) that attacks reach and their bounds (B,).

    Raised if the mean change is less than half of the mean bound: what lies between the two is not known.
    """
    return ("far-below-bound",) if float(change.mean()) < FAR * float(bound.mean()) else ()


def zero_gradient(objective: Objective, target: Target, obs: Tensor, seen: Tensor | None = None) -> Tensor:
    """Return (B,) whether the objective's gradient is zero at seen (default: at the clean point).

    A saturated tanh has a zero gradient, and so has every distance to the clean action at the clean point. NaN counts
    as 0.
    """
    _, gradient = loss_and_gradient(objective, target, obs, obs if seen is None else seen)
    return (gradient == 0).all(-1)


def stochastic_policy(policy: Policy, obs: Tensor) -> bool:
    """Return whether two calls on the same obs (B, S) give different actions."""
    with torch.no_grad():
        return not torch.equal(policy(obs).nan_to_num(), policy(obs).nan_to_num())


def loss_order(losses: Mapping[str, float], tolerance: float = 0.0) -> list[str]:
    """Return every violation of pgd ≤ fgsm ≤ random among mean objectives, as "fgsm > random".

    All means must be of the same minimised objective over the same observations; absent names are skipped.
    """
    present = [name for name in WEAKEST_LAST if name in losses]
    return [
        f"{strong} > {weak}" for strong, weak in combinations(present, 2) if losses[strong] > losses[weak] + tolerance
    ]


def suspicions(probes: Probe) -> dict[str, Tensor]:
    """Return flag → whether each of n episodes (n,) raises it, computed from its probes (n, K)."""
    is_flat, is_blind = (_share(marks) >= NEARLY_ALL for marks in (probes.is_flat, probes.is_blind))
    is_short = (_share(probes.used) < LITTLE) & exceeds(probes.chosen, probes.further)
    return {
        "zero-gradient": is_flat & ~is_blind,
        "no-critic-gradient": is_blind,
        "loss-order": exceeds(probes.chosen, probes.fgsm) | exceeds(probes.chosen, probes.random),
        "blackbox-beats-whitebox": exceeds(probes.chosen, probes.blackbox),
        "unused-budget": is_short,
    }


def exceeds(high: Tensor, low: Tensor) -> Tensor:
    """Return (n,) whether the mean of high − low (n, K) exceeds rounding and BEYOND standard errors.

    NaN and infinite differences are dropped; with fewer than FEWEST others the answer is False.
    """
    difference = high.double() - low.double()
    finite = difference.isfinite()
    difference = torch.where(finite, difference, torch.nan)
    count = finite.sum(-1)
    mean = difference.nanmean(-1)
    variance = (difference - mean.unsqueeze(-1)).square().nansum(-1) / (count - 1)
    size = torch.where(finite, high.double().abs(), torch.nan).nanmean(-1)
    return (count >= FEWEST) & (mean > BEYOND * (variance / count).sqrt()) & (mean > ROUNDING * size)


def _share(marks: Tensor) -> Tensor:
    """Mean (n,) over the non-NaN entries of (n, K); NaN, for which every comparison is False, where all are."""
    return marks.double().nanmean(-1)
