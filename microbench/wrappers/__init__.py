"""Attacks and perturbations for training code: Gymnasium wrappers that do to one environment what the evaluator does.

>>> env = PerturbedDynamics(gymnasium.make("Hopper-v5"), "mass=0.8:1.2")           # doctest: +SKIP
>>> env = ObservationAttack(env, target, attack="pgd", eps=0.1)                    # doctest: +SKIP
"""

from microbench.wrappers.dynamics import PerturbedDynamics
from microbench.wrappers.observation import ObservationAttack

__all__ = ["ObservationAttack", "PerturbedDynamics"]
