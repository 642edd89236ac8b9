"""Attacks on what a policy observes: an attack is an objective and a search inside a budget (Threat).

>>> seen = ATTACKS["pgd"](target, obs, threat, noise)    # all (B, S)                       # doctest: +SKIP

random           uniform noise in the ball: the baseline that any search must beat
random-corner    a random corner of the box (linf), or a random point on the ellipsoid's surface (l2)
random-gaussian  normal noise with a standard deviation of eps, projected into the ball
fgsm             one full step down the gradient of `value` from the clean point, if it lowers the value. Without a
                 critic the objective is `action_difference`, from a random start: its gradient at the clean point is 0.
pgd              10 steps of 2.5·eps/10 from the clean point and from a random one, on the same objective as fgsm
pgd-restarts     20 steps from the clean point and from the best 4 of 40 random ones, on the same objective
min-q            the published search: `value` at 50 uniform points and the clean one; needs a critic
min-q-gradient   pgd on `value`; needs a critic
min-q-mixed      10 steps on `value` from the clean point and from the best 5 of 50 corners; needs a critic
action-diff      10 steps on `action_difference` from a random start
action-kl        the same on `action_kl`; needs a distribution of actions
v-min            10 steps on `state_value`, the value of the adversarial observation; needs V(s)
targeted         10 steps towards the action with the lowest Q(s, a), or towards the setting `action`
q-mean           pgd on `q_mean`, the mean of the critics in place of the policy's own reduction; needs several critics
q-std            the point, of 50 uniform ones and the clean one, at which several critics disagree most

`compat:` names are the searches of earlier suites, faults included (`attacks.compat`).

REFERENCES holds attacks that need the simulator and much time; no suite contains them:

oracle           tries proposals of other attacks and points of the ball in copies of the simulator, and plays the one
                 with the lowest reward
"""

from difflib import get_close_matches
from pkgutil import resolve_name
from typing import cast

from attacks.compat import COMPAT, SignSteps
from attacks.feedforward import Feedforward
from attacks.language import parse
from attacks.noise import Noise
from attacks.objectives import (
    OBJECTIVES,
    Objective,
    action_difference,
    action_kl,
    q_first,
    q_mean,
    q_min,
    q_std,
    state_value,
    value,
)
from attacks.sameness import settled
from attacks.searches.descent import Descend
from attacks.searches.oracle import Oracle
from attacks.searches.sampling import BestOf, Random
from attacks.searches.targeted import Targeted
from attacks.settings import configured
from attacks.target import Critic, Memory, Policy, Target
from attacks.threat import NORMS, UNITS, Threat
from attacks.world import Attack, Fork, InWorld, World

__all__ = [
    "ATTACKS",
    "BARE",
    "NORMS",
    "OBJECTIVES",
    "REFERENCES",
    "SUITE",
    "UNITS",
    "Attack",
    "BestOf",
    "Critic",
    "Descend",
    "Feedforward",
    "Fork",
    "InWorld",
    "Memory",
    "Noise",
    "Objective",
    "Oracle",
    "Policy",
    "Random",
    "SignSteps",
    "Target",
    "Targeted",
    "Threat",
    "World",
    "action_difference",
    "action_kl",
    "needs_of",
    "objective_of",
    "q_first",
    "q_mean",
    "q_min",
    "q_std",
    "resolve",
    "settled",
    "state_value",
    "value",
]

ATTACKS: dict[str, Attack] = {
    "random": Random(),
    "random-corner": Random(draw="corner"),
    "random-gaussian": Random(draw="gaussian"),
    "fgsm": Descend(steps=1, step_size=1.0, restarts=0),
    "pgd": Descend(steps=10, restarts=1),
    "pgd-restarts": Descend(steps=20, restarts=4, candidates=40),
    "min-q": BestOf(objective=value, n=50, include_clean=True),
    "min-q-gradient": Descend(objective=value, steps=10, restarts=1),
    "min-q-mixed": Descend(objective=value, steps=10, restarts=5, candidates=50, draw="corner"),
    "action-diff": Descend(objective=action_difference, steps=10, restarts=1),
    "action-kl": Descend(objective=action_kl, steps=10, restarts=1),
    "v-min": Descend(objective=state_value, steps=10, restarts=1),
    "targeted": Targeted(),
    "q-mean": Descend(objective=q_mean, steps=10, restarts=1),
    "q-std": BestOf(objective=q_std, n=50, include_clean=True),
    **COMPAT,
}

BARE: tuple[str, ...] = ("random", "fgsm", "pgd", "q-mean", "min-q", "action-diff")
"""The attacks of an evaluation without `--attack`: one for each idea."""

SUITE: tuple[str, ...] = (
    "fgsm",
    "pgd",
    "pgd-restarts",
    "q-mean",
    "min-q",
    "action-diff",
    "action-kl",
    "targeted",
    "v-min",
)
"""The attacks from which `--attack worst` chooses, as far as the policy has what they need."""

REFERENCES: dict[str, Attack] = {
    "oracle": Oracle(
        cheap=tuple(ATTACKS[name] for name in ("fgsm", "pgd", "q-mean", "min-q", "action-diff", "targeted"))
    ),
}
"""Attacks for comparison that need more than an observation: they run only by name."""


def resolve(text: str) -> Attack:
    """The attack that a text names (`attacks.language`): a built-in one, or `module:name` from the Python path.

    Sensors after @ are ignored: they belong to the threat. ValueError if there is no such attack or setting.
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


def needs_of(attack: Attack, target: Target) -> tuple[str, ...]:
    """Return the fields of Target, and "gradients", that the attack needs; empty if it has no method `needs`."""
    needs = getattr(attack, "needs", None)
    return () if needs is None else tuple(needs(target))
