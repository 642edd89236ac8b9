"""Several seeds on several cores: every process trains its share of them, as if its seeds were the command's only ones.

Stacked parameters pay on a GPU. On CPUs products of one run fill a core, and threads of one program would wait for each
other after every one of them (benchmarks.seeds).
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
    """The items dealt out to at most `hands` hands, none of them empty."""
    return [tuple(items[hand::hands]) for hand in range(min(hands, len(items)))]


def in_processes(shares: Sequence[Share], tracker: Tracker, sizes: Sequence[int]) -> None:
    """Run every share in a process of its own; `sizes` are their numbers of seeds, by which updates count.

    Raises:
        UserError: a share did, or a process was killed. All the others end, too: what is stored is whole.

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
    """Show what the processes say until all have finished."""
    reached, left = [0] * len(pipes), list(pipes)
    while left:
        for pipe in cast(list[Connection], wait(left)):
            try:
                said = pipe.recv()
            except (EOFError, OSError):
                raise UserError("a training process was killed, likely for want of memory; use --resume.") from None
            if isinstance(said, Exception):
                raise said
            if said is None:
                left.remove(pipe)
                continue
            title, done, text = said
            if done is None:
                tracker.line(text)
                continue
            updating, number = title == "updates", pipes.index(pipe)
            reached[number] = done if updating else 0
            updates = sum(each * size for each, size in zip(reached, sizes, strict=True))
            tracker.advance_to(updates, text if updating else f"{title} {done}, {text}")


def _run(share: Share, pipe: Connection, parent: int, folder: str, code: str, names: frozenset[str]) -> None:
    """What a process does: its share; the last it says is None, or what went wrong."""
    start(parent, folder, code, names)
    try:
        share(partial(_told, pipe))
    except Exception as error:  # whatever it is: it is raised again where the command runs
        if not isinstance(error, UserError):
            error.add_note(traceback.format_exc())  # which a pipe does not carry
        pipe.send(error)
    else:
        pipe.send(None)


@contextmanager
def _told(pipe: Connection, title: str, total: int | None, *, quiet: bool) -> Iterator[Tracker]:
    """Progress of one share, told to the process that shows it."""
    yield _Told(pipe, title)


class _Told:
    def __init__(self, pipe: Connection, title: str) -> None:
        self._pipe, self._title = pipe, title

    def advance_to(self, done: int, note: str = "", left: float | None = None) -> None:
        self._pipe.send((self._title, done, note))

    def line(self, text: str) -> None:
        self._pipe.send((self._title, None, text))
