"""Several seeds on several cores: each is trained as by a command of its own, and no process outlives a failure."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from microbench.commands.train_processes import deal, in_processes
from microbench.errors import UserError
from microbench.progress import Track, Tracker
from tests.microbench.forked import start_forked
from tests.microbench.small_run import Said, Shell, contents, train_arguments

FORKING = """
import multiprocessing
forks = multiprocessing.get_context("fork")
multiprocessing.get_context = lambda _: forks
"""
NAMES = [f"hopper_tiny-micro-quick-s{seed}" for seed in (0, 2)]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are forks of this one: what they run here needs nothing that a fork of it lacks."""
    forks = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: forks)


forked = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def trained(*arguments: object, cwd: Path) -> Said:
    """The command in a process without threads, which then forks the others."""
    return start_forked(*arguments, cwd=cwd, before=FORKING).finish()


class Heard(Tracker):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, str]] = []
        self.lines: list[str] = []

    def advance_to(self, done: int, note: str = "", left: float | None = None) -> None:
        self.reports.append((done, note))

    def line(self, text: str) -> None:
        self.lines.append(text)


def works(name: str, steps: int, track: Track) -> None:
    with track("dynamics", None, quiet=False) as tracker:
        tracker.advance_to(4, "fitted")
    with track("updates", steps, quiet=False) as tracker:
        for step in range(steps):
            tracker.advance_to(step + 1)
        tracker.line(f"{name} is over")


def fails(_: Track) -> None:
    raise UserError("this share cannot be trained.")


def dies(_: Track) -> None:
    os._exit(9)  # without a word, as a killed process


def sleeps(_: Track) -> None:
    time.sleep(300)


def test_seeds_are_dealt_out_like_cards() -> None:
    assert deal([5, 3, 1, 0], 2) == [(5, 1), (3, 0)]
    assert deal([5, 3], 8) == [(5,), (3,)]
    assert deal([5], 1) == [(5,)]


@forked
@pytest.mark.usefixtures("forking")
def test_progress_of_all_processes_adds_up_and_nothing_is_lost() -> None:
    heard = Heard()
    in_processes([partial(works, "one", 30), partial(works, "two", 20)], heard, [2, 1])
    assert heard.reports[-1] == (2 * 30 + 20, "")
    assert sorted(heard.lines) == ["one is over", "two is over"]
    assert heard.reports.count((0, "dynamics 4, fitted")) >= 1
    assert [done for done, _ in heard.reports] == sorted(done for done, _ in heard.reports)


@forked
@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize(("culprit", "sentence"), [(fails, "cannot be trained"), (dies, "killed")])
def test_a_failure_ends_the_others(culprit: object, sentence: str) -> None:
    began, others = time.monotonic(), set(multiprocessing.active_children())  # workers that joblib keeps
    with pytest.raises(UserError, match=sentence):
        in_processes([sleeps, culprit], Heard(), [1, 1])  # type: ignore[list-item]  # each is a share
    assert time.monotonic() - began < 200  # and not the 300 seconds of the one that sleeps
    assert set(multiprocessing.active_children()) <= others


def test_each_seed_is_the_run_of_a_single_command_bit_for_bit(runs: Path, hopper_file: Path, tmp_path: Path) -> None:
    result = trained(*train_arguments(hopper_file, tmp_path / "out"), "--seeds", "0,2", "--threads", "2", cwd=tmp_path)
    assert result.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*NAMES, "latest"]
    assert (tmp_path / "out" / "latest").resolve().name == NAMES[0]
    titles = sorted(line.split(":")[0] for line in result.err.splitlines() if "normalized score" in line)
    assert titles == [f"seed {seed}, epoch {epoch}" for seed in (0, 2) for epoch in (2, 3)]
    alone, together = contents(runs / NAMES[0]), contents(tmp_path / "out" / NAMES[0])
    for name in alone.keys() - {"train.json", "config.json"}:  # which have the command and the seconds
        assert together[name] == alone[name], name
    configs = [json.loads(files["config.json"]) for files in (alone, together)]
    assert [config.pop("options")["seeds"] for config in configs] == [[0], [0, 2]]
    assert configs[0] == configs[1]


def test_a_folder_that_is_taken_is_told_once(runs: Path, hopper_file: Path, tmp_path: Path) -> None:
    result = trained(*train_arguments(hopper_file, runs), "--seeds", "2,0", "--threads", "2", "--quiet", cwd=tmp_path)
    assert result.is_one_sentence
    assert f"{NAMES[0]} already holds a run" in result.err


@pytest.mark.skipif(os.name == "nt", reason="on Windows one process cannot send ^C to another alone")
def test_an_interruption_ends_all_and_the_rest_is_trained_later(
    hopper_file: Path, tmp_path: Path, shell: Shell
) -> None:
    """Forty stored epochs are left when it comes, so it is never too late."""
    arguments = [*train_arguments(hopper_file, tmp_path / "out", steps=400), "--seeds", "0,2", "--threads", "2"]
    process = start_forked(*arguments, cwd=tmp_path, before=FORKING)
    until = time.monotonic() + 120
    while not (tmp_path / "out" / NAMES[0] / "resume.pt").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert process.process.pid is not None
    os.kill(process.process.pid, signal.SIGINT)
    result = process.finish()
    assert result.code == 130
    assert result.err.splitlines()[-1].startswith("microbench: interrupted")
    assert "Traceback" not in result.err
    assert trained(*arguments, "--resume", cwd=tmp_path).code == 0
    assert shell(*train_arguments(hopper_file, tmp_path / "alone", steps=400)).code == 0
    one, other = ((tmp_path / out / NAMES[0] / "policy.safetensors").read_bytes() for out in ("out", "alone"))
    assert one == other
