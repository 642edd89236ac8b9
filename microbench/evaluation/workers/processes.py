"""Worker processes of this machine."""

import functools
import os
import signal
import threading
import time
import warnings
from collections.abc import Generator
from concurrent.futures.process import BrokenProcessPool

import joblib

from microbench.checkpoints import Checkpoint, Source, reload
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import Chunk
from microbench.evaluation.workers.rounds import Chunks, Done, Round, WorkersLost, timed
from microbench.named_modules import in_use, use


def available() -> bool:
    """Whether joblib can start worker processes; it cannot without shared memory for its locks."""
    return getattr(joblib.parallel, "mp", None) is not None


def in_processes(checkpoint: Checkpoint, conditions: Conditions, workers: int) -> Round:
    """A Round in a pool of at least two processes; the next round replaces a broken pool."""

    def run(left: Chunks) -> Generator[Done, None, None]:
        calls = (
            joblib.delayed(_evaluate)(checkpoint.source, conditions, number, chunk) for number, chunk in left.items()
        )
        started = (
            os.getpid(),
            os.getcwd(),
            *in_use(),
        )  # joblib keeps its workers, and replaces them where this changes
        with joblib.parallel_config("loky", inner_max_num_threads=1, initializer=start, initargs=started):
            pool = joblib.Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered")
        finished = pool(calls)
        try:
            for done in finished:  # noqa: UP028  # `yield from` would close it before its warning is silenced
                yield done
        except BrokenProcessPool as error:
            raise WorkersLost from error
        finally:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*tasks.*", UserWarning)  # that closing wastes work: it is wanted
                finished.close()

    return run


def start(parent: int, folder: str, code: str = "", names: frozenset[str] = frozenset()) -> None:
    """Prepare a worker: change to the parent's folder, ignore ^C, and end soon after the process `parent`.

    Without its parent a worker's rows are lost. Modules that the user named are imported from the parent's path.
    """
    os.chdir(folder)
    use(code, names)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _evaluate(source: Source, conditions: Conditions, number: int, chunk: Chunk) -> Done:
    return timed(number, lambda: evaluate_chunk(_load(source), conditions, chunk))


@functools.lru_cache(maxsize=1)
def _load(source: Source) -> Checkpoint:
    """The checkpoint, read once per process."""
    return reload(source)
