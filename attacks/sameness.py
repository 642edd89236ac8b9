"""Two attacks are the same on a target if they run the same search on the same objective."""

from dataclasses import replace

from attacks.compat import SignSteps
from attacks.searches.descent import Descend
from attacks.searches.sampling import BestOf, Random
from attacks.searches.targeted import Targeted
from attacks.target import Target
from attacks.world import Attack


def settled(attack: Attack, target: Target) -> Attack | None:
    """Return the attack with the objective that it minimises on this target; None for an attack of another package.

    Equal records draw and step alike, so that all their episodes are the same. Without a critic these are `pgd` and
    `action-diff`; with one, `pgd` and `min-q-gradient`.
    """
    if isinstance(attack, (Descend, BestOf)):
        return replace(attack, objective=attack.objective_for(target))
    return attack if isinstance(attack, (Random, SignSteps, Targeted)) else None
