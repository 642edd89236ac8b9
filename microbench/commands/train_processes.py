"""Several seeds on several cores: every process trains its share of them, as if its seeds were the command's only ones.

Stacked parameters pay on a GPU. On CPUs products of one run fill a core, and threads of one program would wait for each
other after every one of them (benchmarks.seeds).
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from microbench.commands.progress import Track, Tracker
from microbench.errors import UserError
from microbench.workers.processes import start

T = TypeVar("T")
Share = Callable[[Track], object]  # trains some of the seeds to the end and shows its progress by what it is given
_LOOK = 0.2  # seconds between two looks at what the processes say
_said: Any = None  # where a process tells its progress; set when it starts


def deal(items: Sequence[T], hands: int) -> list[tuple[T, ...]]:
    """The items dealt out to at most `hands` hands, none of them empty."""
    return [tuple(items[hand::hands]) for hand in range(min(hands, len(items)))]


def in_processes(shares: Sequence[Share], tracker: Tracker, sizes: Sequence[int]) -> None:
    """Run every share in a process of its own; `sizes` are their numbers of seeds, by which updates count.

    Raises:
        UserError: a share did, or a process was killed. All the others end, too: what is stored is whole.

    """
    context = multiprocessing.get_context("spawn")
    said = context.SimpleQueue()
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        len(shares), mp_context=context, initializer=_start, initargs=(os.getpid(), os.getcwd(), said)
    ) as pool:
        try:
            _follow([pool.submit(_run, share, number) for number, share in enumerate(shares)], said, tracker, sizes)
        except BrokenProcessPool as error:
            raise UserError(
                "a process that trained was killed, most likely for want of memory; go on with --resume."
            ) from error
        except BaseException:
            for child in set(multiprocessing.active_children()) - before:
                child.kill()
            raise


def _follow(futures: Sequence[Future[None]], said: Any, tracker: Tracker, sizes: Sequence[int]) -> None:
    """Show what the processes say until all have finished."""
    reached, left = [0] * len(futures), set(futures)
    while left:
        finished, left = wait(left, timeout=_LOOK, return_when="FIRST_EXCEPTION")
        while not said.empty():
            number, title, done, text = said.get()
            if done is None:
                tracker.line(text)
                continue
            reached[number] = done if title == "updates" else 0
            updates = sum(done * size for done, size in zip(reached, sizes, strict=True))
            tracker.advance_to(updates, "" if title == "updates" else f"{title} {done}, {text}")
        for future in finished:
            future.result()


def _start(parent: int, folder: str, said: Any) -> None:
    global _said
    _said = said
    start(parent, folder)


def _run(share: Share, number: int) -> None:
    share(partial(_told, number))


@contextmanager
def _told(number: int, title: str, total: int | None, *, quiet: bool) -> Iterator[Tracker]:
    """Progress of one share, told to the process that shows it."""
    yield _Told(number, title)


class _Told:
    def __init__(self, number: int, title: str) -> None:
        self._number, self._title = number, title

    def advance_to(self, done: int, note: str = "", left: float | None = None) -> None:
        _said.put((self._number, self._title, done, note))

    def line(self, text: str) -> None:
        _said.put((self._number, self._title, None, text))
