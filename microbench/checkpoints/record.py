"""The record of a loaded policy, and the source from which another process can load it again."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attacks import Target
from microbench.errors import UserError
from microbench.shown import shown
from microbench.tasks import check_stored

MOST_SEED, MOST_NAME = 2**63, 300


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Settings that a policy file does not record. None: taken from the file, else from the family's default.

    family      a name of `FAMILIES`
    activation  the activation of hidden layers, by name
    squash      the squashing of the output, by name
    max_action  the half-width of the action box
    obs_stats   a file with mean and std of observations
    env_id      the task
    """

    family: str | None = None
    activation: str | None = None
    squash: str | None = None
    max_action: float | None = None
    obs_stats: Path | None = None
    env_id: str | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are not None, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


NONE = Overrides()


@dataclass(frozen=True, kw_only=True)
class Source:
    """The origin of a checkpoint: enough to load it again in another process and to notice a changed file."""

    path: str  # of a file, or module:callable
    file_sha256: str  # hash of the file alone
    identity: str  # hash of everything that decides the policy and its units; the checkpoint's sha256
    overrides: Overrides = NONE


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A policy that can be evaluated, with its origin.

    sha256        the hash of the file, together with statistics beside it and overrides where these decide the policy
    dataset       the training dataset; empty if the file does not say
    train_seed    the training seed; None if the file does not say
    stored_score  the normalized score that its training measured, if recorded; no return, so not for `--claim`
    recipe        the same for all seeds of one policy (microbench.learning.recipe); empty if the file does not say
    about         further entries of the file
    inferred      decisions that the file leaves open, each with its reason
    """

    path: Path
    sha256: str
    family: str
    env_id: str
    algorithm: str
    dataset: str
    train_seed: int | None
    stored_score: float | None
    target: Target
    source: Source
    recipe: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    inferred: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise UserError if a name, the task, the seed or the score is invalid, whatever the family."""
        for name in ("env_id", "algorithm", "dataset"):  # they become names in tables
            text = getattr(self, name)
            if len(text) > MOST_NAME or not text.isprintable():
                raise UserError(f"{self.path} says {name} {shown(text, 40)!r}; expected a name, so give another file.")
        check_stored(self.env_id, self.path, self.source.overrides.env_id)
        if self.train_seed is not None and not 0 <= self.train_seed < MOST_SEED:
            raise UserError(f"{self.path} says the seed {shown(self.train_seed, 40)}; expected a number of 63 bits.")
        if self.stored_score is not None and not math.isfinite(self.stored_score):
            raise UserError(f"{self.path} records a score that is not finite; it is damaged, so give another file.")


def identity(sha256: str, overrides: Overrides, *others: bytes) -> str:
    """The file's sha256 if the file alone decides the policy; else a hash of it with overrides and other contents."""
    settings = {name: str(value) for name, value in overrides.settings.items() if name not in ("env_id", "obs_stats")}
    if not settings and not others:
        return sha256
    parts = [sha256, json.dumps(settings, sort_keys=True), *(hashlib.sha256(content).hexdigest() for content in others)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
