"""Whom an adversary learns against, and what it may do."""

from dataclasses import dataclass

from attacks import Target, Threat
from microbench.tasks import Task


@dataclass(frozen=True, kw_only=True, eq=False)
class Opponent:
    """Whom the adversary is trained against, and what it may do: everything but the seed and the settings."""

    target: Target
    task: Task
    threat: Threat
    method: str

    @property
    def sensors(self) -> int:
        """S."""
        return self.task.obs_size
