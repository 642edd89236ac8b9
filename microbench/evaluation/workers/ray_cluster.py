"""Workers of Ray, on this machine or on a cluster; the policy's files are sent to them."""

import contextlib
import functools
import itertools
import sys
from collections.abc import Generator, Iterator
from typing import Any

import joblib

from microbench.checkpoints import Checkpoint, Source
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import Chunk
from microbench.evaluation.workers.ray_connection import RETRIES, connected
from microbench.evaluation.workers.rounds import Chunks, Done, Round, WorkersLost, timed
from microbench.evaluation.workers.sent import Files, attack_files, policy_files, read_policy, unpacked
from microbench.named_modules import in_use, use
from microbench.versions import versions as versions_here

NOBODY: tuple[str, frozenset[str]] = ("", frozenset())  # modules that the user named


@contextlib.contextmanager
def on_ray(
    checkpoint: Checkpoint, conditions: Conditions, address: str, workers: int | None
) -> Iterator[tuple[Round, int]]:
    """A Round on Ray, and the number of workers; every node receives the policy and the attacks' files once.

    Raises:
        UserError: Ray is not installed, does not answer at the address, or the policy file changed meanwhile.

    """
    source = checkpoint.source
    files = policy_files(source)
    read_policy(files, source)  # so that files which a worker could not read are an error here
    with connected(address, workers or joblib.cpu_count()) as (ray, local):
        count = workers or int(ray.cluster_resources().get("CPU", 1))
        paths = sys.path if local else []
        about = (ray.put(files), source, conditions, versions_here(), paths)
        named = in_use() if local else NOBODY
        attached = functools.cache(lambda text: ray.put(attack_files(text)))
        task = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)(_evaluate)

        def run(left: Chunks) -> Generator[Done, None, None]:
            waiting = iter(left.items())
            running: set[Any] = set()
            lost: Exception | None = None
            try:
                while True:
                    # Some more than there are workers, so that none of them waits for this process.
                    for number, chunk in itertools.islice(waiting, max(0, 2 * count - len(running))):
                        running.add(task.remote(*about, attached(chunk[0].cell.attack), number, chunk, named))
                    if not running:
                        break
                    (ready,), _ = ray.wait(list(running), num_returns=1)
                    running.remove(ready)
                    try:
                        done = ray.get(ready)
                    except ray.exceptions.RayTaskError as error:
                        raise error.cause from None
                    except ray.exceptions.RayError as error:
                        lost = error
                    else:
                        yield done
            finally:
                for ready in running:
                    ray.cancel(ready, force=True)
            if lost:
                raise WorkersLost from lost

        yield run, count


def _evaluate(
    files: Files,
    source: Source,
    conditions: Conditions,
    made_with: dict[str, str],
    paths: list[str],
    attached: Files,
    number: int,
    chunk: Chunk,
    named: tuple[str, frozenset[str]] = NOBODY,
) -> Done:
    """Evaluate a chunk on a worker; UserError if its versions differ, because rows might then differ too."""
    sys.path.extend(path for path in paths if path not in sys.path)  # for module:name, as in the process that asks
    if named[1]:
        use(*named)
    different = [f"{part} {here}" for part, here in versions_here().items() if made_with.get(part) != here]
    if different:
        raise UserError(
            f"a worker of Ray has {', '.join(different)} where this process has "
            f"{', '.join(made_with.get(part.split()[0], 'none') for part in different)}; install the same versions on "
            f"all nodes."
        )
    return timed(number, lambda: evaluate_chunk(read_policy(files, source), conditions, unpacked(chunk, attached)))
