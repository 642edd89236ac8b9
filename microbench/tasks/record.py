"""One record says what is known of a Gymnasium task."""

from __future__ import annotations

from dataclasses import dataclass

from microbench.tasks import imagined
from microbench.tasks.imagined import ImaginedTerminal
from microbench.tasks.physics import Physics


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is known of a Gymnasium task.

    `random_score` and `expert_score` are D4RL's anchors (returns of a random and of an expert policy in the
    -v2 environments, the same for every dataset of the task), None where there are none. `physics` is what the
    batched simulator needs; without it the task runs in Gymnasium itself. `unreachable` names pairs of geoms
    that cannot touch while an episode lives, so that a friction changed only there changes nothing.
    """

    env_id: str
    name: str | None = None
    obs_size: int
    action_size: int
    horizon: int = 1000
    random_score: float | None = None
    expert_score: float | None = None
    imagined_terminal: ImaginedTerminal = imagined.never_ends
    physics: Physics | None = None
    unreachable: frozenset[tuple[str, str]] = frozenset()
