"""Worker processes of this machine."""

import functools
import os
import signal
import threading
import time
import warnings
from collections.abc import Generator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import joblib

from microbench.checkpoints import Checkpoint, load_own
from microbench.errors import UserError
from microbench.evaluate import Conditions, evaluate_chunk
from microbench.plan import Chunk
from microbench.workers.rounds import Chunks, Done, Round, WorkersLost, timed


def in_processes(checkpoint: Checkpoint, conditions: Conditions, workers: int) -> Round:
    """Rounds in a pool of at least two processes; a broken pool is replaced in the next round."""
    path = checkpoint.path.resolve()

    def run(left: Chunks) -> Generator[Done, None, None]:
        calls = (
            joblib.delayed(_evaluate)(path, checkpoint.sha256, conditions, number, chunk)
            for number, chunk in left.items()
        )
        with joblib.parallel_config("loky", inner_max_num_threads=1, initializer=_start, initargs=(os.getpid(),)):
            pool = joblib.Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered")
        finished = pool(calls)
        try:
            for done in finished:  # noqa: UP028  # `yield from` would close it before its warning is filtered below
                yield done
        except BrokenProcessPool as error:
            raise WorkersLost from error
        finally:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*tasks.*", UserWarning)  # that closing wastes work: it is wanted
                finished.close()

    return run


def _start(parent: int) -> None:
    """Leave ^C to the process `parent` that started this worker, and end soon after it: nobody would take the rows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _evaluate(path: Path, sha256: str, conditions: Conditions, number: int, chunk: Chunk) -> Done:
    return timed(number, lambda: evaluate_chunk(_load(path, sha256), conditions, chunk))


@functools.lru_cache(maxsize=1)
def _load(path: Path, sha256: str) -> Checkpoint:
    """The checkpoint, read once per process."""
    return expected(load_own(path), sha256)


def expected(checkpoint: Checkpoint, sha256: str) -> Checkpoint:
    """The checkpoint if it is that one; raises UserError."""
    if checkpoint.sha256 != sha256:
        raise UserError(
            f"{checkpoint.path} was replaced while it was evaluated; evaluate a policy whose training is over."
        )
    return checkpoint
