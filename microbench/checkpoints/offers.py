"""What can be done with a policy: which attacks it can serve, and why not the others."""

from collections.abc import Mapping

import torch

import attacks
from attacks import Attack, Descend, Target
from attacks.objectives import value


def has_gradients(target: Target) -> bool:
    """Whether the action depends differentiably on the observation."""
    size = len(target.scale(next(iter(target.obs_scale))))
    memory = torch.zeros(0) if target.memory is None else target.memory.start
    with torch.enable_grad():
        obs = torch.cat([torch.zeros(size), memory])[None].requires_grad_()
        return bool(target.policy(obs).requires_grad)


def missing(attack: Attack, target: Target) -> str:
    """What the policy lacks for this attack and what to use instead; empty if nothing.

    Attacks of others are not judged.
    """
    if attacks.objective_of(attack, target) == value.__name__ and target.critic is None:
        return "it needs a critic Q(s, a), which the file does not have: use action-diff"
    if isinstance(attack, Descend) and not has_gradients(target):
        return "it needs gradients, which this policy does not give: use random, or min-q if there is a critic"
    return ""


def servable(target: Target, table: Mapping[str, Attack] = attacks.ATTACKS) -> dict[str, str]:
    """Every built-in attack and what is missing for it."""
    return {name: missing(attack, target) for name, attack in table.items()}
