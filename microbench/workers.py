"""Chunks in one process or in several: the same function, the same rows."""

import functools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

import joblib
import pandas as pd

from microbench.checkpoints import Checkpoint, Source, reload
from microbench.errors import UserError
from microbench.evaluate import Conditions, evaluate_chunk
from microbench.plan import Chunk


def evaluate_chunks(
    checkpoint: Checkpoint, conditions: Conditions, chunks: Sequence[Chunk], workers: int | None = 1
) -> Iterator[pd.DataFrame]:
    """Yield every chunk's rows as soon as they are there, in any order.

    Every worker is a process with one thread, None means one per core: the physics of an episode does not get faster
    with two, and the rows do not depend on the number of workers.

    Raises:
        UserError: a worker was killed, or the policy file was replaced meanwhile.
        ValueError: as `evaluate_chunk`.

    """
    workers = min(workers or joblib.cpu_count(), len(chunks))
    if workers <= 1:
        yield from (evaluate_chunk(checkpoint, conditions, chunk) for chunk in chunks)
        return
    with joblib.parallel_config("loky", inner_max_num_threads=1, initializer=_end_with, initargs=(os.getpid(),)):
        calls = (joblib.delayed(_evaluate)(checkpoint.source, conditions, chunk) for chunk in chunks)
        try:
            yield from joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(calls)
        except BrokenProcessPool as error:
            raise UserError(
                f"one of {workers} worker processes was killed, perhaps for want of memory; go on with --resume and "
                f"fewer --workers."
            ) from error


def _end_with(parent: int) -> None:
    """End this worker soon after the process `parent` that started it is gone: nobody would take its rows."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _evaluate(source: Source, conditions: Conditions, chunk: Chunk) -> pd.DataFrame:
    return evaluate_chunk(_load(source), conditions, chunk)


@functools.lru_cache(maxsize=1)
def _load(source: Source) -> Checkpoint:
    """The checkpoint, read once per process."""
    return reload(source)
