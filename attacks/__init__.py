"""Attacks on what a policy observes: a budget (Threat), an objective and a search make an attack.

>>> seen = ATTACKS["pgd"](target, obs, threat, noise)    # all (B, S)                       # doctest: +SKIP

random       uniform in the ball
fgsm         one full step down the gradient of `value` from the clean point; without a critic, of
             `action_difference` from a random start, because its gradient is zero at the clean point
pgd          10 steps of 2.5·eps/10 from the clean point and from a random one, on the same objective as fgsm
min-q        the published search: `value` at 50 uniform points and the clean one; needs a critic
action-diff  10 steps on `action_difference` from a random start

In REFERENCES stands what needs the simulator and much time, and is no part of a suite:

oracle       the candidate, of these attacks' and of points of the ball, after which copies of the world pay least
"""

from difflib import get_close_matches
from pkgutil import resolve_name
from typing import cast

from attacks.language import parse
from attacks.noise import Noise
from attacks.objectives import Objective, action_difference, action_kl, value
from attacks.oracle import Oracle
from attacks.search import BestOf, Descend, Uniform
from attacks.settings import configured
from attacks.target import Critic, Memory, Policy, Target
from attacks.threat import NORMS, UNITS, Threat
from attacks.world import Attack, Fork, InWorld, World

__all__ = [
    "ATTACKS",
    "BARE",
    "NORMS",
    "REFERENCES",
    "SUITE",
    "UNITS",
    "Attack",
    "BestOf",
    "Critic",
    "Descend",
    "Fork",
    "InWorld",
    "Memory",
    "Noise",
    "Objective",
    "Oracle",
    "Policy",
    "Target",
    "Threat",
    "Uniform",
    "World",
    "action_difference",
    "action_kl",
    "objective_of",
    "resolve",
    "value",
]

ATTACKS: dict[str, Attack] = {
    "random": Uniform(),
    "fgsm": Descend(steps=1, step_size=1.0, restarts=0),
    "pgd": Descend(steps=10, restarts=1),
    "min-q": BestOf(objective=value, n=50, include_clean=True),
    "action-diff": Descend(objective=action_difference, steps=10, restarts=1),
}

BARE: tuple[str, ...] = ("random", "fgsm", "pgd", "min-q", "action-diff")
"""What an evaluation runs if no attack is named: one row for each idea."""

SUITE: tuple[str, ...] = ("fgsm", "pgd", "min-q", "action-diff")
"""Among which the worst attack of a budget is looked for, as far as a policy can serve them."""

REFERENCES: dict[str, Attack] = {
    "oracle": Oracle(cheap=tuple(ATTACKS[name] for name in ("fgsm", "pgd", "min-q", "action-diff"))),
}
"""Attacks for comparison, which need more than an observation: they run where they are asked for by name."""


def resolve(text: str) -> Attack:
    """The attack that a text means (`attacks.language`), a built-in one or anybody's as `module:name`.

    Sensors do not matter here: they belong to the threat. ValueError if there is no such attack or setting.
    """
    spec = parse(text)
    attack = _named(spec.name)
    return configured(attack, spec) if spec.settings else attack


def _named(name: str) -> Attack:
    known = ATTACKS | REFERENCES
    if name in known:
        return known[name]
    if ":" not in name:
        nearest = get_close_matches(name, known, n=1)
        hint = f"did you mean {nearest[0]!r}? Otherwise choose" if nearest else "choose"
        raise ValueError(f"There is no attack {name!r}; {hint} one of {', '.join(known)}, or module:name for your own.")
    try:
        attack = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"The attack {name!r} cannot be imported ({error}); expected module:name on the Python path."
        ) from error
    if not callable(attack):
        raise ValueError(f"{name!r} is no attack: expected a function (target, obs, threat, noise) → seen.")
    return cast(Attack, attack)


def objective_of(attack: Attack, target: Target) -> str:
    """Return the name of the objective that the attack minimises on this target.

    "none" for `random`, "unknown" for an attack without a method `objective_for(target)`.
    """
    objective_for = getattr(attack, "objective_for", None)
    if objective_for is None:
        return "unknown"
    objective = objective_for(target)
    return "none" if objective is None else str(getattr(objective, "__name__", repr(objective)))
