"""What a policy file turns into."""

from dataclasses import dataclass
from pathlib import Path

from attacks import Target


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A policy that can be evaluated, with what is known of its origin.

    `sha256` is the file's; `dataset` is empty and `train_seed` None where the file does not say; `claim` is the
    normalized score its maker measured, if recorded.
    """

    path: Path
    sha256: str
    family: str
    env_id: str
    algorithm: str
    dataset: str
    train_seed: int | None
    claim: float | None
    target: Target
