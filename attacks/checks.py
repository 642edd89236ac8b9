"""Signs that a robustness number is too good: pure functions an evaluation calls beside an attack.

The idea of checking one's own attack with flags is AutoAttack's (Croce and Hein 2020, arXiv:2003.01690).
"""

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor

from attacks.objectives import Objective
from attacks.search import loss_and_gradient
from attacks.target import Policy, Target

WEAKEST_LAST = ("pgd", "fgsm", "random")


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
