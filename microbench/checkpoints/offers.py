"""What can be done with a policy: which attacks it can serve, and why not the others."""

from collections.abc import Mapping

import torch

import attacks
from attacks import Attack, Target
from attacks.target import GRADIENTS

WAYS_OUT: Mapping[str, str] = {
    GRADIENTS: "it needs gradients, which this policy does not give: use random, or min-q if there is a critic",
    "critic": "it needs a critic Q(s, a), which the file does not have: fit one (microbench critic) or use action-diff",
    "critics": "it needs several critics Q(s, a), which the file does not have: use min-q or action-diff",
    "state_value": "it needs a value V(s), which the file does not have: use min-q or action-diff",
    "distribution": "it needs a distribution of actions, and this policy has none: use action-diff",
    "obs_bounds": "it needs the range of the data's observations: give the dataset with --obs-stats FILE.hdf5",
    "action_box": "it needs the range of actions, which the file does not say: use targeted(action=1), or pgd",
}
"""What an attack may need of a target (`attacks.needs_of`) → what to say where it is not there."""


def has_gradients(target: Target) -> bool:
    """Whether the action depends differentiably on the observation."""
    size = len(target.scale(next(iter(target.obs_scale))))
    memory = torch.zeros(0) if target.memory is None else target.memory.start
    with torch.enable_grad():
        obs = torch.cat([torch.zeros(size), memory])[None].requires_grad_()
        return bool(target.policy(obs).requires_grad)


def missing(attack: Attack, target: Target) -> str:
    """What the policy lacks for this attack and what to use instead; empty if nothing.

    Attacks of others are judged by what they say themselves (`attacks.needs_of`).
    """
    for need in attacks.needs_of(attack, target):
        if not (has_gradients(target) if need == GRADIENTS else getattr(target, need) is not None):
            return WAYS_OUT[need]
    return ""


def servable(target: Target, table: Mapping[str, Attack] = attacks.ATTACKS) -> dict[str, str]:
    """Every built-in attack and what is missing for it."""
    return {name: missing(attack, target) for name, attack in table.items()}
