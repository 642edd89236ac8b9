"""Workers run chunks in this process, in several, or on Ray; all return the same rows."""

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
    """Yield the episodes' rows chunk by chunk, in the order in which chunks finish.

    Every worker has one thread, because a second one does not speed up the physics of an episode. The rows do not
    depend on the number of workers or on their machine. Chunks whose worker was killed run again. If no worker can be
    started, this process works alone and prints so. Closing the iterator ends the workers.

    Args:
        checkpoint: the policy.
        conditions: the task, and the unit and norm of budgets.
        episodes: the planned episodes.
        workers: number of worker processes; None means one per core.
        ray: "auto" (a running Ray, else one started here), "local" (one started here) or "HOST:PORT" of a cluster.
        listen: receives the attacks that run now.

    Raises:
        UserError: workers were killed three times in a row, the policy file changed meanwhile, or Ray is missing.
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
