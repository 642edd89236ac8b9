"""Progress with the time left: bars on a terminal, plain lines elsewhere, nothing when quiet."""

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from microbench.shown import shown


class Tracker(Protocol):
    """Shows the progress of one piece of work, and lines beside it."""

    def advance_to(self, done: int, note: str = "", left: float | None = None) -> None:
        """Show that `done` steps are finished, with `note` beside the bar and `left` seconds to go.

        With `left` None the mean pace gives the time; NaN means that it is not known yet.
        """
        ...

    def line(self, text: str) -> None:
        """Print a line that stays."""
        ...


class Estimate:
    """Estimates the time that an evaluation still takes, from the seconds per episode of each kind so far.

    Kinds are attacks: an episode under a search costs many times a clean one. So there is no estimate before every
    kind has finished an episode. The `later` episodes are of kinds not known yet and count as the most expensive kind.
    """

    def __init__(self, planned: Mapping[str, int], later: int = 0) -> None:
        self._left, self._finished, self._seconds = Counter(planned), Counter[str](), Counter[str]()
        self._later, self._workers = later, 1

    @property
    def done(self) -> int:
        """The number of episodes finished."""
        return self._finished.total()

    def finished(self, kind: str, episodes: int, seconds: float, workers: int) -> None:
        """Record that one of `workers` workers took these seconds for so many episodes of one kind."""
        self._left[kind] -= episodes
        self._finished[kind] += episodes
        self._seconds[kind] += seconds  # type: ignore[assignment]  # counters add floats as well
        self._workers = workers

    def seconds(self) -> float:
        """Seconds until all episodes are done; NaN before every kind has finished an episode."""
        costs = {kind: self._seconds[kind] / count for kind, count in self._finished.items()}
        if not costs or any(count and kind not in costs for kind, count in self._left.items()):
            return math.nan
        later = self._later * max(costs.values())
        return (later + sum(count * costs[kind] for kind, count in self._left.items() if count)) / self._workers


class _Pace:
    """Estimates the time left from the mean pace since the first call, because resumed work does not start at 0."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._first: tuple[int, float] | None = None

    def left(self, done: int) -> float | None:
        now = time.monotonic()
        first, start = self._first = self._first or (done, now)
        if self._total is None or done <= first:
            return None
        return (now - start) * (self._total - done) / (done - first)


class _Silent:
    def advance_to(self, done: int, note: str = "", left: float | None = None) -> None:
        """Say nothing."""

    def line(self, text: str) -> None:
        """Say nothing."""


class _Plain:
    """Prints a line at most every ten seconds, with the time left where it is known."""

    def __init__(self, title: str, total: int | None) -> None:
        self._title, self._total, self._pace = title, total, _Pace(total)
        self._last = time.monotonic()

    def advance_to(self, done: int, note: str = "", left: float | None = None) -> None:
        pace, now = self._pace.left(done), time.monotonic()
        if now - self._last < 10 and done != self._total:
            return
        self._last = now
        total = "" if self._total is None else f"/{self._total}"
        rest = time_left(pace if left is None else left)
        print(f"{self._title}: {done}{total}{rest and ', '}{rest} {note}".rstrip(), file=sys.stderr)

    def line(self, text: str) -> None:
        print(text, file=sys.stderr)


class _Bar:
    def __init__(self, progress: Progress, task: TaskID, total: int | None) -> None:
        self._progress, self._task, self._pace = progress, task, _Pace(total)

    def advance_to(self, done: int, note: str = "", left: float | None = None) -> None:
        pace = self._pace.left(done)
        rest = time_left(pace if left is None else left)
        self._progress.update(self._task, completed=done, note=note, left=rest)

    def line(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)


def time_left(seconds: float | None) -> str:
    """The time left in words, as `about 90 s left`, `about 12 min left`, `about 2.5 h left`; empty if unknown."""
    if seconds is None or math.isnan(seconds):
        return ""
    if seconds < 120:
        return f"about {seconds:.0f} s left"
    return f"about {seconds / 60:.0f} min left" if seconds < 7200 else f"about {seconds / 3600:.1f} h left"


Track = Callable[..., AbstractContextManager[Tracker]]  # as `track`


@contextmanager
def track(title: str, total: int | None, *, quiet: bool) -> Iterator[Tracker]:
    """Show the progress of `total` steps on stderr; None where their number is not known beforehand."""
    console = Console(stderr=True)
    if quiet:
        yield _Silent()
    elif not console.is_terminal:
        yield _Plain(title, total)
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as progress:
            yield _Bar(progress, progress.add_task(title, total=total, note="", left=""), total)


def say(sentence: str, *, quiet: bool) -> None:
    """Print a remark on stderr, beside the results."""
    if not quiet:
        print(f"microbench: {shown(sentence, 2000)}", file=sys.stderr)
