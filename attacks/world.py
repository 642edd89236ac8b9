"""Copies of the world under attack, for an attacker who may try things out. B rows, N copies each, S observation.

A leaf knows no simulator, so whoever has one offers it in this shape.
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
    """N copies of each of B rows, row i·N + c being copy c of row i; what happens in them happens nowhere else."""

    def step(self, seen: Tensor, /) -> tuple[Tensor, Tensor, Tensor]:
        """Let the policy act on what it is shown, seen (B·N, S), and the copies move on.

        Returns the next obs (B·N, S), the reward (B·N,) in float64 and whether each copy goes on (B·N,); a copy whose
        episode has ended keeps its obs, earns 0 and stays ended.
        """
        ...


class World(Protocol):
    """The rows of an attack's obs as they are now."""

    def fork(self, n: int, /) -> Fork:
        """N copies of every row."""
        ...


@runtime_checkable
class InWorld(Protocol):
    """An attack that looks ahead: the evaluator asks it at every step for the attack on the rows as they are then."""

    def in_world(self, world: World, /) -> Attack:
        """Return the attack `(target, obs, threat, noise) → seen` for the rows of this world."""
        ...
