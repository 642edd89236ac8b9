"""What a policy file turns into, and what is needed to read it again elsewhere."""

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
    """What a user says of a file because the file does not: None leaves it to the file or the family.

    `activation` of hidden layers and `squash` of the output by name; `max_action` the half-width of the action box;
    `obs_stats` a file with mean and std of observations; `family` a name of `FAMILIES`; `env_id` the task.
    """

    family: str | None = None
    activation: str | None = None
    squash: str | None = None
    max_action: float | None = None
    obs_stats: Path | None = None
    env_id: str | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The ones that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


NONE = Overrides()


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a checkpoint comes from: enough to read it again in another process, and to notice another file."""

    path: str  # of a file, or module:callable
    sha256: str  # of the file alone
    identity: str  # of everything that decides the policy and its units: the checkpoint's sha256
    overrides: Overrides = NONE


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A policy that can be evaluated, with what is known of its origin.

    `sha256` is the file's, or, where more than the file decides the policy (statistics beside it, overrides), that of
    all of it together; `dataset` is empty and `train_seed` None where the file does not say; `claim` is the normalized
    score its maker measured, if recorded; `recipe` is the same for all seeds of one policy, and empty where the file
    does not say it; `about` is what the file tells, `inferred` what it does not, each with the
    reason.
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
    source: Source
    recipe: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    inferred: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise UserError for what no file may say, whoever wrote it."""
        for name in ("env_id", "algorithm", "dataset"):  # they become names in tables
            text = getattr(self, name)
            if len(text) > MOST_NAME or not text.isprintable():
                raise UserError(f"{self.path} says {name} {shown(text, 40)!r}; expected a name, so give another file.")
        check_stored(self.env_id, self.path, self.source.overrides.env_id)
        if self.train_seed is not None and not 0 <= self.train_seed < MOST_SEED:
            raise UserError(f"{self.path} says the seed {shown(self.train_seed, 40)}; expected a number of 63 bits.")
        if self.claim is not None and not math.isfinite(self.claim):
            raise UserError(f"{self.path} claims a return that is not finite; it is damaged, so give another file.")


def identity(sha256: str, overrides: Overrides, *others: bytes) -> str:
    """The file's own sha256 if it alone decides the policy, else one of the file, what was said and other contents."""
    said = {name: str(value) for name, value in overrides.given.items() if name not in ("env_id", "obs_stats")}
    if not said and not others:
        return sha256
    parts = [sha256, json.dumps(said, sort_keys=True), *(hashlib.sha256(content).hexdigest() for content in others)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
