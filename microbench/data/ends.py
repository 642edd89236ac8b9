"""Episode ends in a file: the names of their flags, and counting steps where a file has no flags."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]

TERMINATIONS = ("terminals", "terminations")
"""Names of termination flags: D4RL's, Gymnasium's."""
TRUNCATIONS = ("timeouts", "truncations")
"""Names of truncation flags: D4RL's, Gymnasium's."""
BOTH = ("episode_terminals", "dones")
"""Names of flags that mark terminations and truncations alike: d3rlpy's, and a common one."""
NAMES = (*TERMINATIONS, *TRUNCATIONS, *BOTH)


@dataclass(frozen=True, kw_only=True)
class Ends:
    """The ends of a file's episodes, each (N,): rows in which one terminated, rows in which one was truncated.

    `marked` is true where the file has truncation flags; else `truncated` was counted from the time limit.
    """

    terminated: Flags
    truncated: Flags
    marked: bool

    @property
    def last(self) -> Flags:
        """The last row of every episode that ended (N,)."""
        return self.terminated | self.truncated

    @property
    def longest(self) -> int:
        """The largest number of consecutive rows without an end."""
        after = np.concatenate([[-1], np.flatnonzero(self.last)])
        return int(np.diff([*after, len(self.terminated) - 1]).max(initial=0))


def lacking(keys: Collection[str]) -> str:
    """The flags that a file with these arrays lacks for telling terminations from truncations; empty if none."""
    if any(name in keys for name in TERMINATIONS):
        return ""
    ends = next((name for name in BOTH if name in keys), None)
    if ends is None:
        return "terminals"
    if any(name in keys for name in TRUNCATIONS):
        return ""
    return f"terminals: its '{ends}' mark terminations and truncations alike, and nothing says which is which"


def ends_of(flags: Mapping[str, NDArray[Any]], limit: int | None) -> Ends:
    """The ends of a file with these flags, each (N,); `limit` is the task's time limit in steps.

    Where the file marks no truncation, an episode is truncated after `limit` steps. `lacking(flags)` must be empty.
    """
    stored = {name: flags[name] > 0.5 for name in NAMES if name in flags}
    truncated = _any(stored, TRUNCATIONS)
    every = _any(stored, BOTH)
    terminated = _any(stored, TERMINATIONS)
    if terminated is None:
        assert every is not None  # or flags of falls are lacking
        terminated = every & ~truncated if truncated is not None else every
    if truncated is None and every is not None and (every & ~terminated).any():
        truncated = every & ~terminated
    if truncated is not None:
        return Ends(terminated=terminated, truncated=truncated, marked=True)
    counted = (
        counted_truncations(terminated, limit, restart=0) if limit is not None else np.zeros(len(terminated), bool)
    )
    return Ends(terminated=terminated, truncated=counted, marked=False)


def counted_truncations(terminated: Flags, limit: int, *, restart: int) -> Flags:
    """The rows (N,) at which an episode reaches `limit` steps; such a row counts as truncated even if it terminated.

    After a termination the count starts at `restart`. 0 is right. D4RL's loop and the reference's start at 1 where
    they keep the terminal row, so they truncate the next episode one row early.
    """
    truncated = np.zeros(len(terminated), bool)
    start, count = 0, 0
    for end in [*np.flatnonzero(terminated).tolist(), len(terminated)]:
        truncated[start + limit - 1 - count : end + 1 : limit] = True
        count = 0 if end < len(terminated) and truncated[end] else restart
        start = end + 1
    return truncated


def remarks(ends: Ends, limit: int | None, env_id: str) -> list[str]:
    """Sentences on what was assumed about a file's episode ends, or is doubtful."""
    sentences, rows = [], len(ends.terminated)
    if not ends.marked and limit is not None:
        sentences.append(f"it marks no truncation, so episodes end after the {limit} steps of {env_id}")
    if not ends.last.any():
        sentences.append(f"no end of an episode was found in {rows} rows, so there are no returns")
    elif limit is not None and ends.marked and ends.longest > limit:
        sentences.append(
            f"{ends.longest} rows follow each other without an end, but {env_id} truncates after {limit} steps: where "
            f"truncations are not marked, a row's next_obs may be of another episode"
        )
    elif limit is None and not ends.marked:
        sentences.append(f"it marks no truncation, and {env_id} has no time limit to count to")
    return sentences


def _any(stored: Mapping[str, Flags], names: Collection[str]) -> Flags | None:
    """Rows marked under any of the names; None where the file has none of them."""
    marks = [stored[name] for name in names if name in stored]
    return np.logical_or.reduce(marks) if marks else None
