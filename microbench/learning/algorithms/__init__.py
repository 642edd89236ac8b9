"""Algorithms by name: each is one record that the loop of microbench.learning.train uses."""

from microbench.learning.algorithms.base import Algorithm
from microbench.learning.algorithms.micro import MICRO

ALGORITHMS: dict[str, Algorithm] = {
    "micro": MICRO,
    "sac": Algorithm(),  # plain SAC on imagined data: the operator's control
}
