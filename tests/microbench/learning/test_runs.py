"""The folder of a run: whole files only, no run lost by mistake, and differing settings told."""

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from microbench.errors import UserError
from microbench.learning.recipe import recipe_of
from microbench.learning.runs import RunFolder, describe, find_policy
from tests.microbench import toys
from tests.microbench.small_run import contents

STATE = {"weights": torch.arange(1000.0), "epoch": 3}


def description(**changes: Any) -> dict[str, Any]:
    """The description of a toy run, as in config.json."""
    arguments: dict[str, Any] = {"seed": 0, "device": "cpu", "threads": 1} | changes
    return describe(toys.dataset(), "micro", config=toys.small_config(), **arguments)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(path=tmp_path / "runs" / "toy-micro-s0")


def test_a_run_is_named_by_dataset_algorithm_preset_and_seed() -> None:
    named = RunFolder.named(Path("runs"), "microbench/hopper-v0", "sac", "paper", 4)
    assert named.path == Path("runs/hopper-v0-sac-paper-s4")


def test_a_fresh_run_has_nothing_to_continue(folder: RunFolder) -> None:
    assert folder.open(description(), resume=False, force=False) is None
    assert list(contents(folder.path)) == ["config.json"]


def test_a_stored_state_comes_back(folder: RunFolder) -> None:
    folder.open(description(), resume=False, force=False)
    assert folder.open(description(), resume=True, force=False) is None  # killed before the first epoch was stored
    folder.store(STATE)
    state = folder.open(description(), resume=True, force=False)
    assert state is not None
    assert state["weights"].equal(STATE["weights"])
    assert state["epoch"] == 3


def test_a_run_is_never_started_over_by_mistake(folder: RunFolder) -> None:
    folder.open(description(), resume=False, force=False)
    folder.store(STATE)
    before = contents(folder.path)
    with pytest.raises(UserError, match="already holds a run; add --resume to continue it, --force to start it over"):
        folder.open(description(), resume=False, force=False)
    assert contents(folder.path) == before


FILES = ("policy.safetensors", "dynamics.safetensors", "log.csv", "train.json")


@pytest.fixture
def trained(folder: RunFolder) -> RunFolder:
    """A finished run with results."""
    folder.open(description(), resume=False, force=False)
    folder.store(STATE)
    for name in (*FILES, "results.csv"):
        folder.write(name, b"old")
    return folder


def test_a_run_that_is_started_over_stays_until_there_is_a_new_policy(trained: RunFolder) -> None:
    before = contents(trained.path)
    assert trained.open(description(seed=5), resume=False, force=True) is None
    trained.write("dynamics.safetensors", b"new")
    trained.store({"epoch": 0})
    assert {name: content for name, content in contents(trained.path).items() if "next" not in name} == before
    assert trained.policy.read_bytes() == b"old"
    assert not trained.finished
    trained.write("policy.safetensors", b"new")
    assert trained.policy.read_bytes() == b"old"
    trained.write_log([{"epoch": 1}])
    trained.store({"epoch": 1})
    assert trained.policy.read_bytes() == b"new"
    after = contents(trained.path)
    assert sorted(after) == sorted(before.keys() - {"train.json"})
    assert (after["dynamics.safetensors"], after["results.csv"]) == (b"new", b"old")
    assert trained.open(description(seed=5), resume=True, force=False) == {"epoch": 1}


def test_starting_over_is_continued_where_it_was_interrupted(trained: RunFolder) -> None:
    trained.open(description(seed=5), resume=False, force=True)
    trained.store({"epoch": 0})
    with pytest.raises(UserError, match="seed 5 instead of 0"):
        trained.open(description(), resume=True, force=False)
    assert trained.open(description(seed=5), resume=True, force=False) == {"epoch": 0}
    with pytest.raises(UserError, match="already holds a run"):
        trained.open(description(seed=5), resume=False, force=False)
    trained.open(description(seed=6), resume=False, force=True)  # once more from the start
    assert trained.open(description(seed=6), resume=True, force=False) is None
    assert trained.policy.read_bytes() == b"old"


@pytest.mark.parametrize("moved", range(6))
def test_a_change_of_places_that_was_interrupted_is_finished(
    moved: int, trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.open(description(seed=5), resume=False, force=True)
    for name in FILES[:3]:
        trained.write(name, b"new")
    rename, count = os.replace, [0]

    def dies(source: Path, target: Path) -> None:
        if Path(source).parent.name == "next" and not str(source).endswith(".part"):
            if count[0] == moved:
                raise KeyboardInterrupt
            count[0] += 1
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("microbench.learning.runs.os.replace", dies)
        with contextlib.suppress(KeyboardInterrupt):
            trained.store({"epoch": 1})
    assert trained.open(description(seed=5), resume=True, force=False) == {"epoch": 1}
    after = contents(trained.path)
    assert [after[name] for name in FILES[:3]] == [b"new"] * 3
    assert sorted(after) == ["config.json", *sorted(FILES[:3]), "results.csv", "resume.pt"]


def test_a_description_alone_does_not_stand_in_the_way(folder: RunFolder) -> None:
    """A command that failed before anything was stored leaves no more than that."""
    folder.open(description(), resume=False, force=False)
    assert folder.open(description(seed=3), resume=False, force=False) is None
    with pytest.raises(UserError, match="seed 3 instead of 0"):
        folder.open(description(), resume=True, force=False)


def test_checking_writes_nothing_and_says_that_settings_differ(folder: RunFolder) -> None:
    folder.check(description(), resume=False, force=False)
    assert not folder.path.exists()
    folder.open(description(), resume=False, force=False)
    folder.store(STATE)
    other = describe(toys.dataset(), "micro", 0, toys.small_config(beta=0.25), device="cpu", threads=1)
    with pytest.raises(UserError, match="already holds a run with other settings"):
        folder.check(other, resume=False, force=False)
    folder.check(other, resume=False, force=True)


def test_a_policy_without_a_description_is_not_overwritten(folder: RunFolder) -> None:
    folder.write("policy.safetensors", b"mine")
    with pytest.raises(UserError, match="already holds a run"):
        folder.open(description(), resume=False, force=False)
    assert folder.policy.read_bytes() == b"mine"


@pytest.mark.parametrize(("name", "value", "words"), [("threads", 2, "threads 1 instead of 2"), ("seed", 5, "seed 0")])
def test_a_run_continues_with_its_own_settings_only(folder: RunFolder, name: str, value: int, words: str) -> None:
    folder.open(description(), resume=False, force=False)
    with pytest.raises(UserError, match=rf"was started with {words}.*config\.json.*--force") as caught:
        folder.open(description(**{name: value}), resume=True, force=False)
    assert "config {" not in str(caught.value)


def test_a_run_says_of_which_recipe_it_is(folder: RunFolder) -> None:
    recipes = {description(seed=seed, threads=seed + 1)["recipe"] for seed in range(3)}
    assert recipes == {recipe_of(toys.dataset(), "micro", toys.small_config())}


def test_a_run_of_before_recipes_were_stored_is_continued(folder: RunFolder) -> None:
    before = {name: value for name, value in description().items() if name != "recipe"}
    folder.open(before, resume=False, force=False)
    assert folder.open(description(), resume=True, force=False) is None


def test_a_run_with_other_hyperparameters_is_told_both_values(folder: RunFolder) -> None:
    folder.open(description(), resume=False, force=False)
    other = describe(toys.dataset(), "micro", 0, toys.small_config(beta=0.25, hidden=(8,)), device="cpu", threads=1)
    with pytest.raises(UserError, match=r"hidden \[16, 16\] instead of \[8\], beta 0\.5 instead of 0\.25"):
        folder.open(other, resume=True, force=False)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"config": 1}', "\ufeffx"])
def test_a_damaged_config_is_told(folder: RunFolder, content: str) -> None:
    folder.open(description(), resume=False, force=False)
    (folder.path / "config.json").write_text(content)
    before = contents(folder.path)
    with pytest.raises(UserError, match=r"config\.json is damaged .*--force"):
        folder.open(description(), resume=True, force=False)
    assert contents(folder.path) == before


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_state_is_told(folder: RunFolder, part: float) -> None:
    folder.open(description(), resume=False, force=False)
    folder.store(STATE)
    content = folder.resume.read_bytes()
    folder.resume.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"resume\.pt is damaged; .*--force"):
        folder.open(description(), resume=True, force=False)


def test_a_state_with_flipped_bits_is_told(folder: RunFolder) -> None:
    folder.open(description(), resume=False, force=False)
    folder.store(STATE)
    content = bytearray(folder.resume.read_bytes())
    content[len(content) // 2] ^= 1  # among the weights, where only a checksum can tell
    folder.resume.write_bytes(content)
    with pytest.raises(UserError, match=r"resume\.pt is damaged; .*--force"):
        folder.open(description(), resume=True, force=False)


@pytest.mark.parametrize("content", [b"not a state", b"PK\x03\x04" + b"\0" * 100, b"\x80\x02}q\x00."])
def test_a_foreign_state_is_told(folder: RunFolder, content: bytes) -> None:
    folder.open(description(), resume=False, force=False)
    folder.resume.write_bytes(content)
    with pytest.raises(UserError, match=r"resume\.pt is damaged; .*--force"):
        folder.open(description(), resume=True, force=False)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_part(
    folder: RunFolder, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.open(description(), resume=False, force=False)
    folder.store(STATE)
    before = contents(folder.path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(f"reports.files.os.{call}", full)
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
    folder.open(description(), resume=False, force=False)
    with pytest.raises(UserError, match=r"holds no policy\.safetensors"):
        find_policy(folder.path, Path("runs"))
