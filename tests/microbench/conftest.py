"""A small dataset and a small trained run, made once for all tests of the command line."""

import shutil
import sys
from pathlib import Path

import pytest
import torch

from microbench.cli import main
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
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """The command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Shell(monkeypatch, capsys)
