"""Where chunks run: in this process, in several, or on Ray. The same function, the same rows."""

import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial

import joblib

from microbench.checkpoints import Checkpoint
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import Episode, chunks
from microbench.evaluation.workers.processes import available, in_processes
from microbench.evaluation.workers.rounds import Chunks, Done, Listen, Round, nobody, timed, until_all

__all__ = ["Done", "evaluate_episodes"]

ALONE = (
    "microbench: no worker processes can be started here, because there is no shared memory for their locks "
    "(/dev/shm); this process does all by itself."
)


def evaluate_episodes(
    checkpoint: Checkpoint,
    conditions: Conditions,
    episodes: Sequence[Episode],
    workers: int | None = 1,
    ray: str | None = None,
    listen: Listen = nobody,
) -> Generator[Done, None, None]:
    """Yield the episodes' rows chunk by chunk as soon as they are there, in any order.

    Every worker has one thread: the physics of an episode does not get faster with two, and the rows depend neither on
    the number of workers nor on where they run. None means one worker per core. Chunks whose worker was killed run
    again; where none can be started, this process works alone and says so. `ray` is "auto" (a running Ray, else one
    started here), "local" (one started here) or the "HOST:PORT" of a cluster. `listen` hears which attacks run now.
    Closing the iterator ends the workers.

    Raises:
        UserError: workers were killed again and again, the policy file was replaced meanwhile, or Ray is not there.
        ValueError: as `evaluate_chunk`.

    """
    if not episodes:
        return
    if ray is not None:
        from microbench.evaluation.workers.ray_cluster import on_ray

        with on_ray(checkpoint, conditions, ray, workers) as (run, count):
            yield from until_all(run, list(chunks(episodes, count)), count, listen)
        return
    count = workers or joblib.cpu_count()
    if count > 1 and not available():
        print(ALONE, file=sys.stderr)
        count = 1
    pieces = list(chunks(episodes, count))
    count = min(count, len(pieces))
    run = _here(checkpoint, conditions) if count == 1 else in_processes(checkpoint, conditions, count)
    with closing(until_all(run, pieces, count, listen)) as finished:
        yield from finished


def _here(checkpoint: Checkpoint, conditions: Conditions) -> Round:
    def run(left: Chunks) -> Generator[Done, None, None]:
        for number, chunk in left.items():
            yield timed(number, partial(evaluate_chunk, checkpoint, conditions, chunk))

    return run
