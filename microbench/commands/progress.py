"""Progress bars on a terminal, plain lines elsewhere, nothing when quiet."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Tracker(Protocol):
    """Shows how far one piece of work is, and lines beside it."""

    def advance_to(self, done: int, note: str = "") -> None:
        """`done` steps are finished; `note` stands beside the bar."""
        ...

    def line(self, text: str) -> None:
        """Print a line that stays."""
        ...


class _Silent:
    def advance_to(self, done: int, note: str = "") -> None:
        """Say nothing."""

    def line(self, text: str) -> None:
        """Say nothing."""


class _Plain:
    """A line at most every ten seconds, with an estimate of the time that is left where the total is known."""

    def __init__(self, title: str, total: int | None) -> None:
        self._title, self._total = title, total
        self._first: tuple[int, float] | None = None  # resumed work does not start at 0
        self._last = time.monotonic()

    def advance_to(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        first, start = self._first = self._first or (done, now)
        if now - self._last < 10 and done != self._total:
            return
        self._last = now
        text = f"{self._title}: {done}"
        if self._total is not None:
            text += f"/{self._total}"
            if done > first:
                text += f", about {(now - start) * (self._total - done) / (done - first):.0f} s left"
        print(f"{text} {note}".rstrip(), file=sys.stderr)

    def line(self, text: str) -> None:
        print(text, file=sys.stderr)


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance_to(self, done: int, note: str = "") -> None:
        self._progress.update(self._task, completed=done, note=note)

    def line(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)


@contextmanager
def track(title: str, total: int | None, *, quiet: bool) -> Iterator[Tracker]:
    """Show the progress of `total` steps on stderr; None where their number is not known before."""
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
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as progress:
            yield _Bar(progress, progress.add_task(title, total=total, note=""))
