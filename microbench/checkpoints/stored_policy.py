"""The policy stored in a file before its task is known, and the choices that the file leaves open."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from attacks import Feedforward, Memory
from microbench.checkpoints.activations import ACTIVATIONS, activation
from microbench.checkpoints.layers import SQUASHES, Function, Norm
from microbench.checkpoints.record import Overrides
from microbench.errors import UserError, unknown_name

NUMBERS = " (with another number as leaky_relu(0.2) or elu(0.5))"


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredPolicy:
    """The policy stored in a file, as functions. Shapes: B batch, S obs, H memory (0 for most), A action.

    head     obs (B, S + H) → output (B, A) before squashing, normalisation included
    log_std  obs (B, S + H) → log std (B, A); None for a deterministic policy
    outer    the Gaussian is around the squashed output and not squashed itself (IQL's, AWAC's)
    critic   obs (B, S + H), action (B, A) → pessimistic value (B,)
    critics  obs, action → values of each critic (K, B); None unless there are at least two
    value    obs (B, S + H) → value V(s) of the state (B,)
    scaled   the critic takes actions that are scaled from the box to ±1
    network  the head written out as layers; None if it is no feed-forward network
    norm     the normalisation that is part of the policy, whose std is the unit `policy-norm`
    box      lowest and highest action (A,), if the file says them
    robots   robot names that the file has for its task, without version
    beside   contents of other files that decide the policy
    """

    algorithm: str
    obs_size: int
    action_size: int
    head: Function
    squash: str
    log_std: Function | None = None
    outer: bool = False
    critic: Callable[[Tensor, Tensor], Tensor] | None = None
    critics: Callable[[Tensor, Tensor], Tensor] | None = None
    value: Function | None = None
    scaled: bool = False
    network: Feedforward | None = None
    norm: Norm | None = None
    memory: Memory | None = None
    box: tuple[Tensor, Tensor] | None = None
    robots: tuple[str, ...] = ()
    env_id: str | None = None
    stored_score: float | None = None
    train_seed: int | None = None
    beside: tuple[bytes, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


class Choices:
    """Decides what a file leaves open: by the user's override, the file's entry, or the family's default.

    `inferred` records every decision with its reason.

    Raises:
        UserError: an override is no known name, or `max_action` is not positive and finite.
    """

    def __init__(self, path: Path, overrides: Overrides) -> None:
        self.path, self.overrides = path, overrides
        self.inferred: dict[str, str] = {}
        for kind, name, known in (
            ("activation", overrides.activation, ACTIVATIONS),
            ("squash", overrides.squash, SQUASHES),
        ):
            if name is not None and not _is_known(kind, name):
                raise unknown_name(kind, name, known)
        if overrides.max_action is not None and not 0 < overrides.max_action < float("inf"):
            raise UserError(f"--max-action {overrides.max_action:g} is no half-width; expected a positive number.")

    def activation(self, default: str, stored: str | None = None) -> str:
        """The hidden activation."""
        return self._choose("activation", self.overrides.activation, stored, default)

    def squash(self, default: str, stored: str | None = None) -> str:
        """The squashing of the output: tanh, or none (the action is clipped to the box)."""
        return self._choose("squash", self.overrides.squash, stored, default)

    def _choose(self, kind: str, override: str | None, stored: str | None, default: str) -> str:
        known = ACTIVATIONS if kind == "activation" else SQUASHES
        if stored is not None and not _is_known(kind, stored) and override is None:
            raise UserError(
                f"{self.path} has the {kind} {_short(stored)!r}, which is not known here; say what it is with "
                f"--{kind}, one of {', '.join(known)}{NUMBERS if kind == 'activation' else ''}, or write a "
                f"module:callable."
            )
        if override is not None:
            self.inferred[kind] = f"{override}: said on the command line"
        elif stored is not None:
            self.inferred[kind] = f"{stored}: the file says so"
        else:
            self.inferred[kind] = f"{default}: usual for this family, the file does not say; --{kind} for another"
        return override or stored or default


def _is_known(kind: str, name: str) -> bool:
    return activation(name) is not None if kind == "activation" else name in SQUASHES


def _short(stored: str) -> str:
    """The stored text without the memory address of a function, shortened for a message."""
    return re.sub(r" at 0x\w+", "", stored)[:90]
