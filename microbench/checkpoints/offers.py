"""The attacks that a policy can serve, and the reason for each that it cannot."""

from collections.abc import Mapping

import attacks
from attacks import Attack, Target
from attacks.target import GRADIENTS

WHAT: Mapping[str, str] = {
    GRADIENTS: "gradients",
    "critic": "a critic Q(s, a)",
    "critics": "several critics Q(s, a)",
    "state_value": "a value V(s)",
    "distribution": "a distribution of actions",
    "obs_bounds": "the range of the data's observations",
    "action_box": "the range of actions",
}
"""Parts of a target that an attack may need (`attacks.needs_of`), in words."""

WAYS_OUT: Mapping[str, str] = {
    GRADIENTS: "which this policy does not give: use random, or min-q if there is a critic",
    "critic": "which the file does not have: fit one with `microbench critic`, or use action-diff",
    "critics": "which the file does not have: use min-q or action-diff",
    "state_value": "which the file does not have: use min-q or action-diff",
    "distribution": "and this policy has none: use action-diff",
    "obs_bounds": "which is not known: give the dataset with --obs-stats FILE.hdf5",
    "action_box": "which the file does not say: use targeted(action=1), or pgd",
}
"""Advice for each of these parts if a target lacks it."""


def missing(attack: Attack, target: Target) -> str:
    """The part that the policy lacks for this attack, with an alternative; empty if nothing is missing.

    Attacks of other packages state their needs themselves (`attacks.needs_of`).
    """
    for need in attacks.needs_of(attack, target):
        if need not in WHAT:
            return f"it says that it needs {need!r}; expected some of {', '.join(WHAT)}"
        if not target.has(need):
            return f"it needs {WHAT[need]}, {WAYS_OUT[need]}"
    return ""


def servable(target: Target, table: Mapping[str, Attack] = attacks.ATTACKS) -> dict[str, str]:
    """The sentence of `missing` by the name of every built-in attack."""
    return {name: missing(attack, target) for name, attack in table.items()}


def needing(table: Mapping[str, Attack] = attacks.ATTACKS) -> dict[str, list[str]]:
    """Names of the attacks that need a part whatever the policy, by that part in words."""
    bare = Target(policy=lambda obs: obs, obs_scale={})
    needs = {name: attacks.needs_of(attack, bare) for name, attack in table.items()}
    return {what: [name for name, own in needs.items() if need in own] for need, what in WHAT.items()}
