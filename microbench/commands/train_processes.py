"""Processes train several seeds on several cores; each trains its share as if there were no others.

Stacked parameters pay on a GPU. On CPUs the products of one run fill a core, and threads of one program would wait for
each other after every product (benchmarks.seeds).
"""

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import TypeVar, cast

from microbench.errors import UserError
from microbench.evaluation.workers.processes import start
from microbench.named_modules import in_use
from microbench.progress import Track, Tracker

T = TypeVar("T")
Share = Callable[[Track], object]  # trains some of the seeds to the end and shows its progress by what it is given


def deal(items: Sequence[T], hands: int) -> list[tuple[T, ...]]:
    """The items dealt to at most `hands` shares, none of them empty."""
    return [tuple(items[hand::hands]) for hand in range(min(hands, len(items)))]


def in_processes(shares: Sequence[Share], tracker: Tracker, sizes: Sequence[int]) -> None:
    """Run every share in its own process; progress counts a share's updates once for each of its seeds (`sizes`).

    Raises:
        UserError: a share raised it, or a process was killed. All others end, too; stored epochs stay complete.

    """
    context, processes, pipes = multiprocessing.get_context("spawn"), [], []
    try:
        for share in shares:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(share, theirs, os.getpid(), os.getcwd(), *in_use()))
            process.start()
            theirs.close()  # so that the pipe ends with the process
            processes.append(process)
            pipes.append(ours)
        _follow(pipes, tracker, sizes)
    finally:
        for process in processes:
            process.kill()
            process.join()


def _follow(pipes: Sequence[Connection], tracker: Tracker, sizes: Sequence[int]) -> None:
    """Show the progress of all processes until they have finished."""
    reached, left = [0] * len(pipes), list(pipes)
    while left:
        for pipe in cast(list[Connection], wait(left)):
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                raise UserError("a training process was killed, likely for want of memory; use --resume.") from None
            if isinstance(message, Exception):
                raise message
            if message is None:
                left.remove(pipe)
                continue
            title, done, text = message
            if done is None:
                tracker.line(text)
                continue
            updating, number = title == "updates", pipes.index(pipe)
            reached[number] = done if updating else 0
            updates = sum(each * size for each, size in zip(reached, sizes, strict=True))
            tracker.advance_to(updates, text if updating else f"{title} {done}, {text}")


def _run(share: Share, pipe: Connection, parent: int, folder: str, code: str, names: frozenset[str]) -> None:
    """Run a share in a process; its last message is None, or the exception that ended it."""
    start(parent, folder, code, names)
    try:
        share(partial(_sent, pipe))
    except Exception as error:  # of any kind: the process of the command raises it again
        if not isinstance(error, UserError):
            error.add_note(traceback.format_exc())  # which a pipe does not carry
        pipe.send(error)
    else:
        pipe.send(None)


@contextmanager
def _sent(pipe: Connection, title: str, total: int | None, *, quiet: bool) -> Iterator[Tracker]:
    """A tracker that sends the progress of one share to the process that shows it."""
    yield _Sender(pipe, title)


class _Sender:
    def __init__(self, pipe: Connection, title: str) -> None:
        self._pipe, self._title = pipe, title

    def advance_to(self, done: int, note: str = "", left: float | None = None) -> None:
        self._pipe.send((self._title, done, note))

    def line(self, text: str) -> None:
        self._pipe.send((self._title, None, text))
