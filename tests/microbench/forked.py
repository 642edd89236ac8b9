"""Processes that import nothing: each is forked off a server that has imported the command line and run nothing.

A process of Python's own spends seconds on torch and MuJoCo before it does what a test is about.
"""

import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from microbench.cli import main
from reports.rows import writer
from tests.microbench.small_run import Said

FORKS = multiprocessing.get_context("forkserver")
"""Where processes come from; the first one starts the server, which ends with this process."""

FORKS.set_forkserver_preload(
    [
        *("microbench.commands.train", "microbench.commands.evaluate", "microbench.commands.adversary"),
        *("reports.report", __name__),
    ]
)


@dataclass(frozen=True)
class Forked:
    """A command that runs in such a process, and the files of what it prints."""

    process: ForkServerProcess
    out: Path
    err: Path

    def finish(self) -> Said:
        """Wait for the end; a process that a signal ended has its number as a negative code."""
        self.process.join(300)
        assert self.process.exitcode is not None, "it has not ended"
        return Said(self.process.exitcode, self.out.read_text(), self.err.read_text())


def start_forked(*arguments: object, cwd: Path, before: str = "") -> Forked:
    """The command line in a forked process; `before` is Python that is run first."""
    out, err = cwd / "forked.out", cwd / "forked.err"
    process = FORKS.Process(target=_command, args=([str(word) for word in arguments], cwd, before, out, err))
    process.start()
    return Forked(process, out, err)


def run_killed_at(rename: int, *arguments: object, cwd: Path, before: str = "") -> None:
    """Run a command that dies when a file is complete beside its place and about to be moved there."""
    dying = f"{before}\nfrom {__name__} import die_at\ndie_at({rename})\n"
    ended = start_forked(*arguments, cwd=cwd, before=dying).finish()
    assert ended.code == -signal.SIGKILL, ended


def die_at(rename: int) -> None:
    """From now on every chunk is written at once, and the rename of that number ends this process."""
    writer.EVERY = 0
    count, move = 0, os.replace

    def replace(source: str, target: str) -> None:
        nonlocal count
        count += 1
        if count == rename:
            os.kill(os.getpid(), signal.SIGKILL)
        move(source, target)

    os.replace = replace  # type: ignore[assignment]


def _command(arguments: list[str], cwd: Path, before: str, out: Path, err: Path) -> None:
    os.chdir(cwd)
    for path, stream in ((out, 1), (err, 2)):
        with path.open("w") as file:
            os.dup2(file.fileno(), stream)
    exec(before, {})
    sys.argv = ["microbench", *arguments]
    main()
