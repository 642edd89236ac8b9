"""Chunks in one process or in several: the same function, the same rows."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import joblib
import pandas as pd

from microbench.checkpoints import Checkpoint, load_own
from microbench.evaluate import Conditions, evaluate_chunk
from microbench.plan import Chunk


def evaluate_chunks(
    path: Path, conditions: Conditions, chunks: Sequence[Chunk], workers: int = 1
) -> Iterator[pd.DataFrame]:
    """Yield every chunk's rows as soon as they are there, in any order.

    Every worker is a process with one thread: the physics of an episode does not get faster with two, and the rows
    do not depend on the number of workers.
    """
    workers = min(workers, len(chunks))
    if workers <= 1:
        yield from (_evaluate(path, conditions, chunk) for chunk in chunks)
        return
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        calls = (joblib.delayed(_evaluate)(path, conditions, chunk) for chunk in chunks)
        yield from joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(calls)


def _evaluate(path: Path, conditions: Conditions, chunk: Chunk) -> pd.DataFrame:
    return evaluate_chunk(_load(path, path.stat().st_mtime_ns), conditions, chunk)


@functools.lru_cache(maxsize=4)
def _load(path: Path, stamp: int) -> Checkpoint:
    """The checkpoint, read once per process; `stamp` tells a rewritten file from the old one."""
    return load_own(path)
