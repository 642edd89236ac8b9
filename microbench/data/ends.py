"""Where episodes end: the names that files have for it, and counting where they have none."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]

FALLS = ("terminals", "terminations")
"""Names of flags of an end after which no reward follows: D4RL's, Gymnasium's."""
CUTS = ("timeouts", "truncations")
"""Names of flags of an end at which an episode was only cut: D4RL's, Gymnasium's."""
BOTH = ("episode_terminals", "dones")
"""Names of flags of every end, of either kind: d3rlpy's, and a common one."""
NAMES = (*FALLS, *CUTS, *BOTH)


@dataclass(frozen=True, kw_only=True)
class Ends:
    """The ends of a file's episodes, each (N,): `fell` without a further reward, `cut` at a limit.

    `marked` says that the file marks cuts; where it does not, `cut` was counted.
    """

    fell: Flags
    cut: Flags
    marked: bool

    @property
    def last(self) -> Flags:
        """The last row of every episode that ended (N,)."""
        return self.fell | self.cut

    @property
    def longest(self) -> int:
        """The most rows that follow each other without an end."""
        after = np.concatenate([[-1], np.flatnonzero(self.last)])
        return int(np.diff([*after, len(self.fell) - 1]).max(initial=0))


def lacking(keys: Collection[str]) -> str:
    """What a file with these arrays lacks to say where robots fell; empty if nothing."""
    if any(name in keys for name in FALLS):
        return ""
    ends = next((name for name in BOTH if name in keys), None)
    if ends is None:
        return "terminals"
    if any(name in keys for name in CUTS):
        return ""
    return f"terminals: its '{ends}' mark falls and cuts alike, and nothing says which is which"


def ends_of(flags: Mapping[str, NDArray[Any]], limit: int | None) -> Ends:
    """The ends of a file with these flags, each (N,); `limit` is the number of steps after which its task cuts.

    Where no cut is marked, an episode is cut after `limit` steps. The flags must not be `lacking`.
    """
    stored = {name: flags[name] > 0.5 for name in NAMES if name in flags}
    cut = _any(stored, CUTS)
    every = _any(stored, BOTH)
    fell = _any(stored, FALLS)
    if fell is None:
        assert every is not None  # or flags of falls are lacking
        fell = every & ~cut if cut is not None else every
    if cut is None and every is not None and (every & ~fell).any():
        cut = every & ~fell
    if cut is not None:
        return Ends(fell=fell, cut=cut, marked=True)
    counted = counted_cuts(fell, limit, restart=0) if limit is not None else np.zeros(len(fell), bool)
    return Ends(fell=fell, cut=counted, marked=False)


def counted_cuts(fell: Flags, limit: int, *, restart: int) -> Flags:
    """The rows (N,) at which counting to `limit` steps ends an episode; a row that is counted out is no fall.

    After a fall the count goes on from `restart`. 0 is right; D4RL's loop and the reference's go on from 1 where they
    keep the fallen row, so that they find the cut of the next episode one row early.
    """
    cut = np.zeros(len(fell), bool)
    start, count = 0, 0
    for end in [*np.flatnonzero(fell).tolist(), len(fell)]:
        cut[start + limit - 1 - count : end + 1 : limit] = True
        count = 0 if end < len(fell) and cut[end] else restart
        start = end + 1
    return cut


def remarks(ends: Ends, limit: int | None, env_id: str) -> list[str]:
    """What must be known about the ends of a file, in sentences."""
    sentences, rows = [], len(ends.fell)
    if not ends.marked and limit is not None:
        sentences.append(f"it marks no cut of an episode, so episodes end after the {limit} steps of {env_id}")
    if not ends.last.any():
        sentences.append(f"no end of an episode was found in {rows} rows, so there are no returns")
    elif limit is not None and ends.marked and ends.longest > limit:
        sentences.append(
            f"{ends.longest} rows follow each other without an end, but {env_id} cuts after {limit} steps: where cuts "
            f"are not marked, rows may lead into another episode"
        )
    elif limit is None and not ends.marked:
        sentences.append(f"it marks no cut of an episode, and {env_id} has no limit to count to")
    return sentences


def _any(stored: Mapping[str, Flags], names: Collection[str]) -> Flags | None:
    """Rows marked under any of the names; None where the file has none of them."""
    marks = [stored[name] for name in names if name in stored]
    return np.logical_or.reduce(marks) if marks else None
