"""Copies of the simulated world, for attacks that look ahead. B rows, N copies each, S observation.

This package knows no simulator: a caller who has one implements these protocols.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor

from attacks.noise import Noise
from attacks.target import Target
from attacks.threat import Threat

Attack = Callable[[Target, Tensor, Threat, Noise], Tensor]
"""`attack(target, obs, threat, noise) → seen`, all (B, S). It keeps no state between calls."""


class Fork(Protocol):
    """N copies of each of B rows: row i·N + c is copy c of row i. Steps in a copy change nothing outside it."""

    def step(self, seen: Tensor, /) -> tuple[Tensor, Tensor, Tensor]:
        """Step every copy with the policy's action on the adversarial observation seen (B·N, S).

        Returns the next obs (B·N, S), the reward (B·N,) in float64, and whether each copy goes on (B·N,). A copy whose
        episode has ended keeps its obs, has reward 0 and stays ended.
        """
        ...


class World(Protocol):
    """The simulator's present state of every row of an attack's obs."""

    def fork(self, n: int, /) -> Fork:
        """Return n copies of every row."""
        ...


@runtime_checkable
class InWorld(Protocol):
    """An attack that looks ahead: at every step the evaluator calls `in_world` and runs the attack it returns."""

    def in_world(self, world: World, /) -> Attack:
        """Return the attack `(target, obs, threat, noise) → seen` for the rows of this world."""
        ...
