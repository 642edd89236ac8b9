"""`kill -9` at the worst moments: nothing half written, nothing stored is lost, and the end is the same to the byte.

Here a process kills itself at a chosen rename of a file; benchmarks/kill_resume.py kills at random moments, many times.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import reports
from microbench.checkpoints import load_own
from microbench.commands import train as train_command
from microbench.learning.runs import RunFolder
from microbench.learning.train import Training
from tests.microbench.forked import run_killed_at
from tests.microbench.small_run import Shell, contents, finish, kill, start, train_arguments

RUN = "hopper_tiny-micro-quick-s0"
ENDS = ("policy.safetensors", "dynamics.safetensors", "log.csv", "config.json")
ATTACK = ("attack", "--eps", "0.1", "--episodes", 10, "--attack", "random", "--attack", "fgsm", "--attack", "pgd")


def whole_files_only(folder: Path) -> None:
    """Whatever stands under a final name can be read."""
    run = RunFolder(path=folder)
    assert not run.resume.exists() or run._stored_state() is not None
    if run.policy.exists():
        load_own(run.policy)


def test_a_killed_training_goes_on_to_the_same_bytes(
    runs: Path, hopper_file: Path, shell: Shell, tmp_path: Path
) -> None:
    """Killed before the first epoch of the fit is stored, between two files of one epoch, and then left alone.

    Renames: config, resume (fit 1), resume (fit 2), dynamics, resume, then policy, log, resume for every epoch.
    """
    arguments, folder = train_arguments(hopper_file, tmp_path / "killed"), tmp_path / "killed" / RUN
    for rename, there in ((2, ["config.json"]), (7, [*ENDS, "resume.pt"])):
        run_killed_at(rename, *arguments, "--resume", cwd=tmp_path)
        whole_files_only(folder)
        files = [name for name in contents(folder) if not name.endswith(".part")]
        assert sorted(files) == sorted(there)
    assert shell(*arguments, "--resume").code == 0
    ends = [{name: contents(out / RUN)[name] for name in ENDS} for out in (runs, tmp_path / "killed")]
    assert ends[0] == ends[1]


def test_a_buffer_is_imagined_again_by_the_kernel_that_made_it(
    runs: Path, hopper_file: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another one, its last bits and with them the rest of the run would be others."""
    restored: list[bool] = []
    load, inside = Training.load_state_dict, [False]

    def watched(training: Training, state: dict[str, Any]) -> None:
        restored.append(inside[0])
        load(training, state)

    @contextmanager
    def kernel() -> Iterator[bool]:
        inside[0] = True
        yield True
        inside[0] = False

    monkeypatch.setattr(Training, "load_state_dict", watched)
    monkeypatch.setattr(train_command, "fast_float32_matmul", kernel)
    assert shell(*train_arguments(hopper_file, runs), "--resume", "--quiet").code == 0
    assert restored == [True]


def test_a_killed_evaluation_goes_on_to_the_same_table(runs: Path, shell: Shell, tmp_path: Path) -> None:
    command = (*ATTACK, "--workers", 1, "--runs", runs)
    assert shell(*command, "--out", "straight").code == 0
    table = tmp_path / "killed" / "results.csv"
    run_killed_at(3, *command, "--out", "killed", cwd=tmp_path)
    before = reports.read(table)
    assert before["attack"].unique().tolist() == ["none", "random"]
    assert shell(*command, "--out", "killed", "--resume").err.splitlines()[1].startswith("episodes: 20/20")
    assert table.read_bytes() == Path("straight/results.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
def test_workers_end_with_the_process_that_started_them(runs: Path, tmp_path: Path) -> None:
    command = ("attack", "--eps", "0.1", "--episodes", 500, "--workers", 2, "--runs", runs, "--out", "killed")
    process = started(*command, cwd=tmp_path)
    assert len(children(process.pid)) >= 2
    kill(process)  # waits until nobody holds the pipes of its output, and gives up after a minute
    reports.read(tmp_path / "killed" / "results.csv")


GRID = ("perturb", "--mass", "0.5:1.5:5", "--friction", "0.5:1.5:5", "--episodes", 60, "--workers", 2)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_an_interruption_ends_the_workers_and_keeps_finished_chunks(
    number: signal.Signals, runs: Path, tmp_path: Path
) -> None:
    """A real signal to the main process alone; its workers are then gone, and what they had finished is stored."""
    process = started(*GRID, "--quiet", "--runs", runs, "--out", "cut", cwd=tmp_path)
    workers = children(process.pid)
    process.send_signal(number)
    result = finish(process)
    assert (result.code, result.out) == (130, "")
    line, *rest = result.err.splitlines()
    assert line == "microbench: interrupted; train, adversary, attack and perturb go on with --resume."
    # On a busy machine joblib's own tracker may find a semaphore of killed workers, and says so as the last one to end.
    assert not [line for line in rest if "resource_tracker" not in line and "warnings.warn" not in line]
    assert 0 < len(reports.read(tmp_path / "cut" / "results.csv")) < 660
    assert [pid for pid in workers if alive(pid)] == []
    assert [name for name in contents(tmp_path / "cut") if name.endswith(".part")] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9")
def test_a_killed_worker_costs_nothing_but_time(runs: Path, shell: Shell, tmp_path: Path) -> None:
    assert shell(*GRID, "--runs", runs, "--out", "straight").code == 0
    process = started(*GRID, "--runs", runs, "--out", "killed", cwd=tmp_path)
    victim = next(pid for pid in children(process.pid) if "loky.backend.popen" in command_of(pid))
    os.kill(victim, signal.SIGKILL)
    assert finish(process).code == 0
    assert (tmp_path / "killed" / "results.csv").read_bytes() == Path("straight/results.csv").read_bytes()


def started(*command: object, cwd: Path) -> "subprocess.Popen[str]":
    """An evaluation (its last argument is the folder) that has stored its first rows."""
    process = start(*command, cwd=cwd)
    deadline = time.monotonic() + 120
    while not (cwd / str(command[-1]) / "results.csv").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def command_of(pid: int) -> str:
    """What the process was started as."""
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


def children(pid: int) -> list[int]:
    """The processes that `pid` has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return [int(word) for word in listed.stdout.split() if int(word) != os.getpid()]
