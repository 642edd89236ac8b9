"""Workers of Ray, on this machine or on a cluster.

Nothing is written to the terminal by Ray, no statistics leave the machine, and a Ray started here listens on the
loopback device only and ends with the evaluation.
"""

import contextlib
import dataclasses
import functools
import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import joblib

from microbench.checkpoints import Checkpoint, load_own
from microbench.errors import UserError
from microbench.evaluate import Conditions, evaluate_chunk
from microbench.plan import Chunk
from microbench.versions import versions as versions_here
from microbench.workers.processes import expected
from microbench.workers.rounds import Chunks, Done, Round, WorkersLost, timed

PATIENCE = 20  # seconds until a cluster must have answered
RETRIES = 1  # of one task within a round, by Ray itself

# Read by Ray when it is imported or started: no statistics, and 127.0.0.1 in place of the machine's own address.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
LOCAL = QUIET | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

TRY = """
import sys, ray
try:
    ray.init(address=sys.argv[1], logging_level="CRITICAL", log_to_driver=False)
except Exception as error:
    sys.exit(print(error) or 1)
"""


@contextlib.contextmanager
def on_ray(
    checkpoint: Checkpoint, conditions: Conditions, address: str, workers: int | None
) -> Iterator[tuple[Round, int]]:
    """Rounds on Ray and the number of workers; the policy's bytes travel once to every node.

    Raises:
        UserError: no Ray is installed or none answers at the address, or the policy file was replaced meanwhile.

    """
    content = checkpoint.path.read_bytes()
    expected(_load(content, str(checkpoint.path)), checkpoint.sha256)
    with _connected(address, workers or joblib.cpu_count()) as (ray, local):
        count = workers or int(ray.cluster_resources().get("CPU", 1))
        paths = sys.path if local else []
        about = (ray.put(content), str(checkpoint.path), conditions, versions_here(), paths)
        task = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)(_evaluate)

        def run(left: Chunks) -> Generator[Done, None, None]:
            waiting = iter(left.items())
            running: set[Any] = set()
            lost: Exception | None = None
            try:
                while True:
                    # Some more than there are workers, so that none of them waits for this process.
                    for number, chunk in itertools.islice(waiting, max(0, 2 * count - len(running))):
                        running.add(task.remote(*about, number, chunk))
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
    content: bytes,
    name: str,
    conditions: Conditions,
    made_with: dict[str, str],
    paths: list[str],
    number: int,
    chunk: Chunk,
) -> Done:
    """A chunk on a worker, if that one would give the same rows."""
    sys.path.extend(path for path in paths if path not in sys.path)  # for module:name, as in the process that asks
    different = [f"{part} {here}" for part, here in versions_here().items() if made_with.get(part) != here]
    if different:
        raise UserError(
            f"a worker of Ray has {', '.join(different)} where this process has "
            f"{', '.join(made_with.get(part.split()[0], 'none') for part in different)}; install the same versions on "
            f"all nodes."
        )
    return timed(number, lambda: evaluate_chunk(_load(content, name), conditions, chunk))


@functools.lru_cache(maxsize=1)
def _load(content: bytes, name: str) -> Checkpoint:
    """The checkpoint, parsed once per process; `name` is its path where it came from, for sentences."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(name).name)
        path.write_bytes(content)
        return dataclasses.replace(load_own(path), path=Path(name))


@contextlib.contextmanager
def _connected(address: str, cpus: int) -> Iterator[tuple[Any, bool]]:
    """The module ray, connected, and whether it was started here; what was started here ends here."""
    if importlib.util.find_spec("ray") is None:
        raise UserError("--ray needs Ray, which is not installed; install the extra: microbench-rl[ray].")
    found = None if address == "local" else _running(address)
    ray = _import_ray(local=found is None)
    if ray.is_initialized():  # by a program that uses this package: its Ray is taken as it is, and stays
        yield ray, False
        return
    settings: dict[str, Any] = {"address": found, "logging_level": "CRITICAL", "log_to_driver": False}
    if found is None:
        system = {"task_oom_retries": RETRIES}
        memory = 2**28  # bytes for policies and rows; Ray's own default is a third of the machine's
        settings |= {"address": "local", "num_cpus": cpus, "include_dashboard": False, "_system_config": system}
        settings |= {"object_store_memory": memory}
    with _own_signals(), _environment(LOCAL if found is None else QUIET):
        ray.init(**settings)
    try:
        yield ray, found is None
    finally:
        ray.shutdown()


def _running(address: str) -> str | None:
    """The address if a cluster answers there; "auto" finds the one of this machine, None if there is none.

    Ray itself would try for minutes and then end the process, so another process tries first.
    """
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdigit()):
        raise UserError(f"--ray {address} is no address; expected auto, local or HOST:PORT, such as 10.0.0.1:6379.")
    try:
        command = [sys.executable, "-c", TRY, address]
        tried = subprocess.run(command, capture_output=True, timeout=PATIENCE, text=True, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(
            f"no Ray cluster answers at {address} within {PATIENCE} s; start one, set RAY_AUTH_MODE=token if it asks "
            f"for a token, or use --ray local."
        ) from None
    if tried.returncode == 0:
        return address
    said = " ".join(tried.stdout.split())
    if address == "auto" and said.startswith("Could not find any running Ray"):
        return None
    raise UserError(
        f"Ray at {address} cannot be used ({said[:200].rstrip('.')}); run this on a node of a running "
        f"cluster, or use --ray local."
    )


def _import_ray(*, local: bool) -> Any:
    with _environment(LOCAL if local else QUIET):
        import ray
        import ray._private.worker
    # Killed workers are told here in one sentence, if at all; Ray would tell them on stdout, amid a table or JSON.
    ray._private.worker._worker_logs_enabled = False
    return ray


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """These environment variables inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """What SIGTERM does here stays as it is: Ray would have it end the process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
