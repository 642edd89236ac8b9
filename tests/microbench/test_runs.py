"""The folder of a run: whole files only, no run lost by mistake, and differing settings told."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from microbench.errors import UserError
from microbench.recipe import recipe_of
from microbench.runs import RunFolder, describe, find_policy
from tests.microbench import toys
from tests.microbench.small_run import contents

STATE = {"weights": torch.arange(1000.0), "epoch": 3}


def told(**changes: Any) -> dict[str, Any]:
    """What config.json says of a toy run."""
    given: dict[str, Any] = {"seed": 0, "device": "cpu", "threads": 1} | changes
    return describe(toys.dataset(), "micro", config=toys.small_config(), **given)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(path=tmp_path / "runs" / "toy-micro-s0")


def test_a_run_is_named_by_dataset_algorithm_and_seed() -> None:
    assert RunFolder.named(Path("runs"), "microbench/hopper-v0", "sac", 4).path == Path("runs/hopper-v0-sac-s4")


def test_a_fresh_run_has_nothing_to_continue(folder: RunFolder) -> None:
    assert folder.open(told(), resume=False, force=False) is None
    assert list(contents(folder.path)) == ["config.json"]


def test_a_stored_state_comes_back(folder: RunFolder) -> None:
    folder.open(told(), resume=False, force=False)
    assert folder.open(told(), resume=True, force=False) is None  # killed before the first epoch was stored
    folder.store(STATE)
    state = folder.open(told(), resume=True, force=False)
    assert state is not None
    assert state["weights"].equal(STATE["weights"])
    assert state["epoch"] == 3


def test_a_run_is_never_started_over_by_mistake(folder: RunFolder) -> None:
    folder.open(told(), resume=False, force=False)
    folder.store(STATE)
    before = contents(folder.path)
    with pytest.raises(UserError, match="already holds a run; add --resume to continue it, --force to start it over"):
        folder.open(told(), resume=False, force=False)
    assert contents(folder.path) == before


def test_starting_over_leaves_nothing_of_the_old_run_but_its_results(folder: RunFolder) -> None:
    folder.open(told(), resume=False, force=False)
    folder.store(STATE)
    for name in ("policy.safetensors", "dynamics.safetensors", "log.csv", "results.csv"):
        folder.write(name, b"old")
    folder.open(told(seed=0), resume=False, force=True)
    assert list(contents(folder.path)) == ["config.json", "results.csv"]


@pytest.mark.parametrize(("name", "value", "words"), [("threads", 2, "threads 1 instead of 2"), ("seed", 5, "seed 0")])
def test_a_run_continues_with_its_own_settings_only(folder: RunFolder, name: str, value: int, words: str) -> None:
    folder.open(told(), resume=False, force=False)
    with pytest.raises(UserError, match=rf"was started with {words}.*config\.json.*--force") as caught:
        folder.open(told(**{name: value}), resume=True, force=False)
    assert "config {" not in str(caught.value)


def test_a_run_says_of_which_recipe_it_is(folder: RunFolder) -> None:
    recipes = {told(seed=seed, threads=seed + 1)["recipe"] for seed in range(3)}
    assert recipes == {recipe_of(toys.dataset(), "micro", toys.small_config())}


def test_a_run_of_before_recipes_were_stored_is_continued(folder: RunFolder) -> None:
    before = {name: value for name, value in told().items() if name != "recipe"}
    folder.open(before, resume=False, force=False)
    assert folder.open(told(), resume=True, force=False) is None


def test_a_run_with_other_hyperparameters_is_told_both_values(folder: RunFolder) -> None:
    folder.open(told(), resume=False, force=False)
    other = describe(toys.dataset(), "micro", 0, toys.small_config(beta=0.25, hidden=(8,)), device="cpu", threads=1)
    with pytest.raises(UserError, match=r"hidden \[16, 16\] instead of \[8\], beta 0\.5 instead of 0\.25"):
        folder.open(other, resume=True, force=False)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"config": 1}', "\ufeffx"])
def test_a_damaged_config_is_told(folder: RunFolder, content: str) -> None:
    folder.open(told(), resume=False, force=False)
    (folder.path / "config.json").write_text(content)
    before = contents(folder.path)
    with pytest.raises(UserError, match=r"config\.json is damaged .*--force"):
        folder.open(told(), resume=True, force=False)
    assert contents(folder.path) == before


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_state_is_told(folder: RunFolder, part: float) -> None:
    folder.open(told(), resume=False, force=False)
    folder.store(STATE)
    content = folder.resume.read_bytes()
    folder.resume.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"resume\.pt is damaged; .*--force"):
        folder.open(told(), resume=True, force=False)


def test_a_state_with_flipped_bits_is_told(folder: RunFolder) -> None:
    folder.open(told(), resume=False, force=False)
    folder.store(STATE)
    content = bytearray(folder.resume.read_bytes())
    content[len(content) // 2] ^= 1  # among the weights, where only a checksum can tell
    folder.resume.write_bytes(content)
    with pytest.raises(UserError, match=r"resume\.pt is damaged; .*--force"):
        folder.open(told(), resume=True, force=False)


@pytest.mark.parametrize("content", [b"not a state", b"PK\x03\x04" + b"\0" * 100, b"\x80\x02}q\x00."])
def test_a_foreign_state_is_told(folder: RunFolder, content: bytes) -> None:
    folder.open(told(), resume=False, force=False)
    folder.resume.write_bytes(content)
    with pytest.raises(UserError, match=r"resume\.pt is damaged; .*--force"):
        folder.open(told(), resume=True, force=False)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_part(
    folder: RunFolder, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.open(told(), resume=False, force=False)
    folder.store(STATE)
    before = contents(folder.path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(f"reports.rows.files.os.{call}", full)
    with pytest.raises(OSError, match="No space left"):
        folder.store({"epoch": 4})
    assert contents(folder.path) == before


def test_the_log_has_a_line_per_epoch_and_a_gap_where_nothing_was_measured(folder: RunFolder) -> None:
    folder.write_log([{"epoch": 1, "q": 0.5}, {"epoch": 2, "q": 0.25, "score": 3.0}])
    assert (folder.path / "log.csv").read_text() == "epoch,q,score\n1,0.5,\n2,0.25,3.0\n"


def test_latest_points_to_the_newest_run(folder: RunFolder) -> None:
    other = RunFolder(path=folder.path.with_name("toy-micro-s1"))
    for run in (folder, other, folder):
        run.write("policy.safetensors", run.path.name.encode())
        run.mark_latest()
        assert find_policy(None, folder.path.parent).read_bytes() == run.path.name.encode()
    moved = folder.path.parent.rename(folder.path.parent.with_name("moved"))  # the link is relative
    assert find_policy(None, moved) == (moved / folder.path.name / "policy.safetensors").resolve()


def test_a_policy_is_found_by_folder_and_by_file(folder: RunFolder) -> None:
    folder.write("policy.safetensors", b"")
    assert find_policy(folder.path, Path("nowhere")) == folder.policy
    assert find_policy(folder.policy, Path("nowhere")) == folder.policy


def test_a_policy_that_is_not_there_is_told(folder: RunFolder) -> None:
    with pytest.raises(UserError, match=r"there is no run below .*microbench train"):
        find_policy(None, folder.path)
    with pytest.raises(UserError, match="there is no checkpoint"):
        find_policy(folder.path, Path("runs"))
    folder.open(told(), resume=False, force=False)
    with pytest.raises(UserError, match=r"holds no policy\.safetensors"):
        find_policy(folder.path, Path("runs"))
