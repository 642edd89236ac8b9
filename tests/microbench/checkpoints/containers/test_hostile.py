"""Hostile and broken files: each is refused in one sentence, and nothing in it runs."""

import builtins
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_checkpoints import mutated, outcome
from microbench.checkpoints import load
from microbench.checkpoints.containers.archives import Archive
from microbench.checkpoints.containers.pickles import Stub, read_pickle
from microbench.checkpoints.containers.torch_files import read_legacy, read_zip
from microbench.checkpoints.statistics import read_statistics
from microbench.errors import UserError
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints.containers.hostile_corpus import corpus
from tests.microbench.checkpoints.containers.hostile_files import call, inside
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.small_run import Shell


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that a command in a hostile file would create."""
    return tmp_path_factory.mktemp("trap") / "canary"


@pytest.fixture(scope="module")
def hostile(canary: Path) -> dict[str, bytes]:
    return corpus(canary)


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(call("os.system", tmp_path / "canary", protocol=4))
    assert (tmp_path / "canary").exists()


def test_every_file_of_the_corpus_is_refused_in_one_sentence(
    tmp_path: Path, canary: Path, hostile: dict[str, bytes]
) -> None:
    assert len(hostile) >= 200
    accepted, wordy = [], []
    for name, content in hostile.items():
        path = files.write(tmp_path / "policy", content)
        try:
            load(path)
        except UserError as error:
            message = str(error)
            if "\n" in message or not message.endswith(".") or len(message) > 500 or str(path) not in message:
                wordy.append((name, message))
        else:
            accepted.append(name)
        path.unlink()
    assert (accepted, wordy) == ([], [])
    assert not canary.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["os.system-4.pkl", "os.system.pt", "sb3.zip", "bomb.zip", "huge.pt", "cut-2-td3.pth"])
def test_the_command_line_refuses_them_too(
    tmp_path: Path, name: str, shell: Shell, canary: Path, hostile: dict[str, bytes]
) -> None:
    path = files.write(tmp_path / "policy", hostile[name])
    for line in (
        ["inspect", path],
        ["attack", path, "--eps", "0.1"],
        ["attack", path, "--eps", "0", "--attack", f"adversary:{path}"],
    ):
        assert shell(*line).is_one_sentence, line
    assert not canary.exists()


def test_statistics_beside_a_policy_are_read_as_carefully(tmp_path: Path) -> None:
    path = files.write(tmp_path / "p.zip", files.sb3())
    files.write(tmp_path / "vecnormalize.pkl", call("os.system", tmp_path / "canary", protocol=0))
    with pytest.raises(UserError, match=r"it names os\.system, which no policy needs"):
        load(path)
    for content in (
        b"{}",
        b'{"mean": [1], "std": [0]}',
        b'{"mean": [1, 2], "std": [1]}',
        b'{"mean": ["a"], "std": [1]}',
        b"[1",
    ):
        with pytest.raises(UserError):
            read_statistics(files.write(tmp_path / "s.json", content))
    assert not (tmp_path / "canary").exists()


def test_nothing_is_imported_for_a_name_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    content = files.sa_ppo()
    asked: list[str] = []
    real = builtins.__import__

    def watched(name: str, *more: Any) -> Any:
        asked.append(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", watched)
    tree = read_zip(Archive(content))
    monkeypatch.undo()
    assert isinstance(tree["envs"][0], Stub)
    assert tree["envs"][0].origin == "policy_gradients.custom_env.Env"
    assert [name for name in asked if name.startswith(("gym", "policy_gradients"))] == []


def test_a_constructor_cannot_be_changed_by_a_file() -> None:
    poison = b"ccollections\nOrderedDict\nN}X\x0c\x00\x00\x00__defaults__K\x01s\x86b."
    with pytest.raises(pickle.UnpicklingError, match="changes a constructor"):
        read_pickle(poison)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_tensors_are_those_that_torch_reads(dtype: torch.dtype) -> None:
    whole = torch.arange(-12, 12).reshape(2, 3, 4).to(dtype)
    shared = torch.arange(20.0)
    tree = {
        "a": whole,
        "view": whole.transpose(0, 2)[1:],
        "empty": torch.empty(0, 3),
        "x": shared[::3],
        "y": shared[5:9],
    }
    tree["parameter"] = torch.nn.Parameter(torch.ones(3))
    for tensors in (read_zip(Archive(files.torch_bytes(tree))), read_legacy(files.torch_bytes(tree, legacy=True))):
        assert list(tensors) == list(tree)
        for name, tensor in tree.items():
            same = tensors[name].numel() == 0 if name == "empty" else tensors[name].equal(tensor)
            assert same, name


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["<f8", ">f8", "f4", "i8", "u1", "?"])
def test_arrays_are_those_that_numpy_wrote(kind: str, protocol: int) -> None:
    values = np.arange(6).reshape(2, 3).astype(kind)
    tree = {"a": values, "t": values.T, "s": values[1, 1], "f": np.asfortranarray(values)}
    content = read_pickle(pickle.dumps(tree, protocol))
    for name in ("a", "t", "f"):
        np.testing.assert_array_equal(content[name].values, tree[name])
    assert content["s"] == tree["s"]


def test_a_sparse_file_without_end_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.touch()
    os.truncate(path, 2**34)
    with pytest.raises(UserError, match="more than 1024 MiB"):
        load(path)


CONTENTS = {name: make() for name, make in FILES.items()} | {"inside.pt": inside(b"N.")}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(CONTENTS)), seed=st.integers(0, 2**32))
def test_a_mutated_file_is_read_or_refused(tmp_path: Path, name: str, seed: int) -> None:
    path = files.write(tmp_path / "policy", mutated(CONTENTS[name], random.Random(seed)))
    verdict = outcome(path)
    assert verdict in ("read", "refused"), verdict
