"""Gymnasium wrappers that attack or perturb one environment as the evaluator does, for training code.

>>> env = PerturbedDynamics(gymnasium.make("Hopper-v5"), "mass=0.8:1.2")           # doctest: +SKIP
>>> env = ObservationAttack(env, target, attack="pgd", eps=0.1)                    # doctest: +SKIP
"""

from microbench.wrappers.dynamics import PerturbedDynamics
from microbench.wrappers.observation import ObservationAttack

__all__ = ["ObservationAttack", "PerturbedDynamics"]
