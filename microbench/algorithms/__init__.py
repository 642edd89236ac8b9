"""Algorithms by name; each is one record over the shared loop of microbench.train."""

from microbench.algorithms.base import Algorithm
from microbench.algorithms.micro import MICRO

ALGORITHMS: dict[str, Algorithm] = {
    "micro": MICRO,
    "sac": Algorithm(),  # plain SAC on imagined data: the operator's control
}
