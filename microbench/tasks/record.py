"""The record of a Gymnasium task: sizes, horizon, reference scores and physics."""

from __future__ import annotations

from dataclasses import dataclass

from microbench.tasks import imagined
from microbench.tasks.imagined import ImaginedTerminal
from microbench.tasks.physics import Physics


@dataclass(frozen=True, kw_only=True)
class Task:
    """A Gymnasium task: its sizes, its time limit `horizon` in steps, its reference scores and its physics.

    `random_score` and `expert_score` are D4RL's anchors: returns of a random and of an expert policy in the -v2
    environments. They are the same for every dataset of the task, and None where D4RL has none. `physics` is for the
    batched simulator; a task without it runs in Gymnasium itself. `unreachable` names pairs of geoms that cannot
    touch before an episode terminates, so that a changed friction between them has no effect.
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
