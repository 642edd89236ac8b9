"""A connection to Ray: one that runs, or one started here.

Nothing is written to the terminal by Ray, no statistics leave the machine, and a Ray started here listens on the
loopback device only and ends with the evaluation.
"""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from microbench.errors import UserError

PATIENCE = 20  # seconds until a cluster must have answered
RETRIES = 1  # of one task within a round, by Ray itself

# Read by Ray when it is imported or started: no statistics, and 127.0.0.1 in place of the machine's own address.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
LOCAL = QUIET | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

TRY = """
import sys, ray
try:
    ray.init(address=sys.argv[1], logging_level="CRITICAL", log_to_driver=False)
except Exception as error:  # printed, so that the process that started this one raises it in one sentence
    sys.exit(print(error) or 1)
"""


@contextlib.contextmanager
def connected(address: str, cpus: int) -> Iterator[tuple[Any, bool]]:
    """The module ray, connected, and whether this block started it; if so, it ends with the block."""
    if importlib.util.find_spec("ray") is None:
        raise UserError("--ray needs Ray, which is not installed; install the extra: microbench-rl[ray].")
    running = None if address == "local" else _running(address)
    ray = _import_ray(local=running is None)
    if ray.is_initialized():  # by a program that uses this package: its Ray is taken as it is, and stays
        yield ray, False
        return
    settings: dict[str, Any] = {"address": running, "logging_level": "CRITICAL", "log_to_driver": False}
    if running is None:
        system = {"task_oom_retries": RETRIES}
        memory = 2**28  # bytes for policies and rows; Ray's own default is a third of the machine's
        settings |= {"address": "local", "num_cpus": cpus, "include_dashboard": False, "_system_config": system}
        settings |= {"object_store_memory": memory}
    # Ray adds the working directory to its workers' search path, with modules that the user never named.
    with tempfile.TemporaryDirectory() as empty:
        with _own_signals(), _environment(LOCAL if running is None else QUIET), contextlib.chdir(empty):
            ray.init(**settings)
        try:
            yield ray, running is None
        finally:
            ray.shutdown()


def _running(address: str) -> str | None:
    """The address, if a cluster answers there; None if "auto" finds no cluster on this machine.

    Another process tries first, because Ray itself would try for minutes and then end the process.
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
    output = " ".join(tried.stdout.split())
    if address == "auto" and output.startswith("Could not find any running Ray"):
        return None
    raise UserError(
        f"Ray at {address} cannot be used ({output[:200].rstrip('.')}); run this on a node of a running "
        f"cluster, or use --ray local."
    )


def _import_ray(*, local: bool) -> Any:
    with _environment(LOCAL if local else QUIET):
        import ray
        import ray._private.worker
    # Killed workers raise one sentence here, if any; Ray would print them to stdout, amid a table or JSON.
    ray._private.worker._worker_logs_enabled = False
    return ray


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set these environment variables inside the block, and restore them after it."""
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
    """Keep this process's handler of SIGTERM inside and after the block; Ray would replace it."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
