"""Conventions by which the rows of a file become transitions, each with a name (docs/datasets.md)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from microbench.data.ends import Ends, counted_truncations
from microbench.errors import unknown_name

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Successors = tuple[Floats, Flags]  # next_obs (N, S), and which rows are kept (N,)
Convention = Callable[[Floats, Floats | None, Ends, int | None], Successors]


def reference(obs: Floats, recorded: Floats | None, ends: Ends, limit: int | None) -> Successors:
    """The rows that the MICRO reference reads: the loader of OfflineRL-Kit.

    It leaves out the last row of the file and the truncated rows. next_obs is the recorded one. Where none is
    recorded, next_obs is the next row's obs, and terminated rows are left out as well.
    """
    keep = ~_loops_truncations(ends, limit, restart=0 if recorded is None else 1)
    if recorded is None:
        keep &= ~ends.terminated
    return _kept(obs, recorded, keep)


def qlearning(obs: Floats, recorded: Floats | None, ends: Ends, limit: int | None) -> Successors:
    """The rows of D4RL's `qlearning_dataset`: next_obs is always the next row's obs, whatever is recorded.

    After a termination that is the first observation of another episode. A backup never uses it, but a dynamics model
    that is fitted to these rows learns it.
    """
    return _kept(obs, None, ~_loops_truncations(ends, limit, restart=1))


def strict(obs: Floats, recorded: Floats | None, ends: Ends, limit: int | None) -> Successors:
    """All rows whose true next observation is known."""
    if recorded is not None:
        return recorded, np.ones(len(obs), bool)
    return _kept(obs, None, ~ends.last)


CONVENTIONS: dict[str, Convention] = {"reference": reference, "qlearning": qlearning, "strict": strict}
ROWS = tuple(CONVENTIONS)
OLD_NAMES = {"d4rl": "qlearning"}  # the convention's name of the time when it was the default


def convention(rows: str) -> str:
    """The present name of a convention for its present or its older name.

    Raises:
        UserError: no convention has that name.
    """
    name = OLD_NAMES.get(rows, rows)
    if name not in CONVENTIONS:
        raise unknown_name("convention of --rows", rows, ROWS)
    return name


def successors(name: str, obs: Floats, recorded: Floats | None, ends: Ends, limit: int | None) -> Successors:
    """next_obs (N, S) by the convention `name`, and the mask (N,) of the rows that are kept."""
    return CONVENTIONS[name](obs, recorded, ends, limit)


def _kept(obs: Floats, recorded: Floats | None, keep: Flags) -> Successors:
    keep = keep.copy()
    keep[-1:] = False  # both loops end before the last row, whose successor no other row shows
    return (np.concatenate([obs[1:], obs[-1:]]) if recorded is None else recorded), keep


def _loops_truncations(ends: Ends, limit: int | None, *, restart: int) -> Flags:
    """The rows (N,) that the loops of D4RL and of the reference count as truncated."""
    if ends.marked or limit is None:
        return ends.truncated
    return counted_truncations(ends.terminated, limit, restart=restart)
