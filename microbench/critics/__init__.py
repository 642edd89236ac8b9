"""Critics for policies without one: action values of a frozen policy, fitted to its own episodes.

fqe           fitted Q evaluation: the value of an action, followed by the deterministic policy
robust-sarsa  on-policy TD with a penalty on the change of the value in a ball around the action
"""

from collections.abc import Mapping

from microbench.critics.fitting import Fit, Method, fit
from microbench.critics.fqe import FQE
from microbench.critics.robust_sarsa import ROBUST_SARSA
from microbench.critics.values import FittedCritic

__all__ = ["METHODS", "Fit", "FittedCritic", "Method", "fit"]

METHODS: Mapping[str, Method] = {"fqe": FQE, "robust-sarsa": ROBUST_SARSA}
