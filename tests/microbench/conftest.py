"""A small dataset and a small trained run, made once for all tests of the command line."""

import pickle
import shutil
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
import torch

import reports
from microbench.checkpoints import Checkpoint
from microbench.cli import main
from microbench.evaluation import workers
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.workers import processes
from microbench.evaluation.workers.rounds import Chunks, Done, Round
from tests.microbench.small_run import Shell, train_arguments, write_dataset


@pytest.fixture(scope="session")
def hopper_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "hopper_tiny.hdf5")


@pytest.fixture(scope="session")
def trained_once(hopper_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out, threads = tmp_path_factory.mktemp("trained") / "runs", torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["microbench", *train_arguments(hopper_file, out), "--quiet"])
        with pytest.raises(SystemExit, match="0"):
            main()
    torch.set_num_threads(threads)
    return out


@pytest.fixture
def runs(trained_once: Path, tmp_path: Path) -> Path:
    """A folder with one trained run that a test may do anything to."""
    return Path(shutil.copytree(trained_once, tmp_path / "runs", symlinks=True))


@pytest.fixture
def drawing_shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """The command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Shell(monkeypatch, capsys)


@pytest.fixture
def shell(drawing_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell whose plots are empty pictures, because drawing takes longer than all else that a command does."""
    monkeypatch.setattr("reports.figures.curves.save", save_empty)
    return drawing_shell


def save_empty(_: object, stem: Path | str, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Files of the names that `reports.figures.curves.save` would write."""
    paths = [Path(f"{stem}.{name}") for name in formats]
    for path in paths:
        path.write_text('<svg width="1pt" height="1pt"></svg>')
    return paths


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands measure and print, and leave out the folder of tables and plots."""
    monkeypatch.setattr(reports, "write_report", lambda *_: {})


@pytest.fixture
def workers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes are this one, which is sent what they would be sent and reads the policy as they would."""

    def in_this(checkpoint: Checkpoint, conditions: Conditions, _: int) -> Round:
        def run(left: Chunks) -> Generator[Done, None, None]:
            processes._load.cache_clear()
            for number, chunk in left.items():
                sent = pickle.dumps((checkpoint.source, conditions, number, chunk))
                yield pickle.loads(pickle.dumps(processes._evaluate(*pickle.loads(sent))))

        return run

    monkeypatch.setattr(workers, "in_processes", in_this)


@pytest.fixture
def been_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file by which `tests.microbench.evaluation.workers.work.dies_once` knows that it was called before."""
    monkeypatch.setenv("BEEN_HERE", str(tmp_path / "been_here"))
    return tmp_path / "been_here"
