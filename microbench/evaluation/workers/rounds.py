"""Rounds: chunks that lost their worker run again, until all are finished or three rounds finish none."""

import itertools
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import pandas as pd

from microbench.errors import UserError
from microbench.evaluation.plan import Chunk

FRUITLESS = 3  # rounds in a row without a new chunk before giving up


@dataclass(frozen=True, kw_only=True, eq=False)
class Done:
    """A finished chunk: its number in the plan, its rows, the seconds of its worker, and the number of workers."""

    number: int
    rows: pd.DataFrame
    seconds: float
    workers: int = 1


Chunks = Mapping[int, Chunk]
Round = Callable[[Chunks], Generator[Done, None, None]]
"""A function that runs all chunks, each with its number, or raises `WorkersLost` after some."""


class WorkersLost(Exception):
    """Workers ended before their chunks; the chunks that are left can run again."""


Listen = Callable[[Sequence[str]], None]
"""A function that receives the attacks that run now, at the start and whenever a chunk finishes."""


def nobody(running: Sequence[str]) -> None:
    """Ignore the running attacks."""


def until_all(
    run: Round, chunks: Sequence[Chunk], workers: int, listen: Listen = nobody
) -> Generator[Done, None, None]:
    """Yield every chunk's rows, in rounds; `listen` receives the attacks of the next chunks, one for every worker.

    A chunk that kills its worker ends the whole pool. Every other round starts from the other end, so that all other
    chunks are finished before three rounds in a row finish none.

    Raises:
        UserError: three rounds in a row without a new chunk.

    """
    left, fruitless = dict(enumerate(chunks)), 0
    while left:
        before = len(left)
        listen(_running(left, workers))
        try:
            with closing(run(dict(left))) as finished:
                for done in finished:
                    del left[done.number]
                    yield Done(number=done.number, rows=done.rows, seconds=done.seconds, workers=workers)
                    listen(_running(left, workers))
        except WorkersLost as error:
            fruitless = 0 if len(left) < before else fruitless + 1
            if fruitless == FRUITLESS:
                raise UserError(
                    f"worker processes were killed {FRUITLESS} times in a row without finishing any of {len(left)} "
                    f"chunks, most likely for want of memory; go on with --resume and fewer --workers."
                ) from error
            left = dict(reversed(left.items()))


def _running(left: Chunks, workers: int) -> list[str]:
    """The attacks of the first chunks, each once, by their names in results."""
    return list(dict.fromkeys(chunk[0].cell.shown for chunk in itertools.islice(left.values(), workers)))


def timed(number: int, evaluate: Callable[[], pd.DataFrame]) -> Done:
    """Evaluate a chunk and measure its seconds."""
    began = time.perf_counter()
    rows = evaluate()
    return Done(number=number, rows=rows, seconds=time.perf_counter() - began)
