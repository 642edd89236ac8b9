"""When two attacks are one: the same search of the same objective on a target."""

from dataclasses import replace

from attacks.compat import SignSteps
from attacks.searches.descent import Descend
from attacks.searches.sampling import BestOf, Random
from attacks.searches.targeted import Targeted
from attacks.target import Target
from attacks.world import Attack


def settled(attack: Attack, target: Target) -> Attack | None:
    """Return the attack with the objective that it minimises on this target; None for what is no record from here.

    Two records that are equal then draw and step alike, so that all their episodes are the same: without a critic that
    are `pgd` and `action-diff`, with one `pgd` and `min-q-gradient`.
    """
    if isinstance(attack, (Descend, BestOf)):
        return replace(attack, objective=attack.objective_for(target))
    return attack if isinstance(attack, (Random, SignSteps, Targeted)) else None
