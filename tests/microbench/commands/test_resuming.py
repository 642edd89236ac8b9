"""`train --resume` continues the newest interrupted run as it was started; nothing else has to be said."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from microbench.commands.resuming import resumed
from microbench.commands.train_options import Asked, TrainOptions, complete, config_of, stored_options
from microbench.errors import UserError
from microbench.learning.runs import RunFolder, describe
from tests.microbench import toys
from tests.microbench.toys import one_line

FILE = "data/hopper_medium-v2.hdf5"
NAME = "hopper-medium-v2"


def started(
    out: Path, *, age: int = 0, over: bool = False, split: tuple[int, int] = (1, 1), **asked: Any
) -> TrainOptions:
    """A run below `out`, with a state but no policy; the larger its age, the longer ago it was stored."""
    options = complete(replace(Asked(dataset=FILE), **asked), out=out)
    config = config_of(options, NAME)
    for seed in options.seeds:
        folder = RunFolder.named(out, NAME, options.algorithm, options.preset, seed)
        data = replace(toys.dataset(), name=NAME)
        about = describe(data, options.algorithm, seed, config, device="cpu", threads=split[1])
        folder.open(about | {"options": stored_options(options, split)}, resume=False, force=False)
        folder.store({"epoch": 1})
        if over:
            folder.write_json("train.json", {})
        for path in folder.path.iterdir():
            os.utime(path, (10**9 - age, 10**9 - age))
    return options


def continued(out: Path, **asked: Any) -> TrainOptions:
    return resumed(Asked(**asked), out=out, quiet=True)


def test_a_bare_resume_has_all_options_of_the_run(tmp_path: Path) -> None:
    before = started(
        tmp_path, algorithm="sac", seeds=(3, 5), preset="paper", steps=2500, rows="strict", settings={"batch": 64},
        split=(2, 4),
    )  # fmt: skip
    after = continued(tmp_path)
    assert after.resume
    for name in ("dataset", "algorithm", "seeds", "preset", "rows", "env", "graph"):
        assert getattr(after, name) == getattr(before, name)
    assert (after.split, after.device) == ((2, 4), "cpu")
    assert config_of(after, NAME) == config_of(before, NAME)
    assert config_of(after, NAME).epochs == 3


def test_the_newest_interrupted_run_is_meant_before_any_finished_one(tmp_path: Path) -> None:
    started(tmp_path, seeds=(0,), age=5)
    started(tmp_path, seeds=(1,), age=3)
    started(tmp_path, seeds=(2,), age=1, over=True)
    assert continued(tmp_path).seeds == (1,)
    assert continued(tmp_path, seeds=(0,)).seeds == (0,)
    assert continued(tmp_path, seeds=(2,)).seeds == (2,)


def test_what_is_asked_chooses_among_runs(tmp_path: Path) -> None:
    started(tmp_path, algorithm="micro", age=1)
    started(tmp_path, algorithm="sac", age=2)
    started(tmp_path, preset="paper", age=3)
    assert continued(tmp_path, algorithm="sac").algorithm == "sac"
    assert continued(tmp_path, preset="paper").preset == "paper"
    assert continued(tmp_path, settings={"epochs": 3000}).preset == "paper"
    assert continued(tmp_path, dataset="elsewhere/hopper-medium-v2.h5").dataset == "elsewhere/hopper-medium-v2.h5"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"settings": {"beta": 5.0}}, "beta 0.1 instead of 5.0"),
        ({"algorithm": "sac"}, "algorithm 'micro' instead of 'sac'"),
        ({"preset": "paper"}, "preset 'quick' instead of 'paper'"),
        ({"steps": 7}, "steps None instead of 7"),
        ({"threads": 4}, "threads 1 instead of 4"),
        ({"dataset": "hopper_expert-v2.hdf5"}, "dataset 'hopper-medium-v2' instead of 'hopper-expert-v2'"),
        ({"rows": "strict"}, "rows None instead of 'strict'"),
        ({"seeds": (4,)}, r"seeds \[0\] instead of \[4\]"),
    ],
)
def test_options_that_contradict_the_run_are_told_with_both_values(
    asked: dict[str, Any], words: str, tmp_path: Path
) -> None:
    started(tmp_path)
    with pytest.raises(UserError, match=words) as caught:
        continued(tmp_path, **asked)
    assert one_line(caught.value)


def test_another_seed_of_the_very_same_command_is_started(tmp_path: Path) -> None:
    """Several machines may run one command with --resume, each for a seed of its own, below one folder."""
    started(tmp_path)
    fresh = continued(tmp_path, dataset=FILE, seeds=(1,))
    assert (fresh.seeds, fresh.split, fresh.resume) == ((1,), None, True)


def test_where_nothing_was_interrupted_a_run_is_started_if_any_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no run below .* to be resumed"):
        continued(tmp_path)
    assert continued(tmp_path, seeds=(1,)).seeds == (1,)
    started(tmp_path, over=True)
    assert continued(tmp_path, dataset=FILE, seeds=(1,)).seeds == (1,)
    assert continued(tmp_path).seeds == (0,)  # which is finished, and will say so


def test_runs_of_before_are_found_by_their_name(tmp_path: Path) -> None:
    """They say nothing of their options, so that these have to be given, and are called without a preset."""
    folder = RunFolder(path=tmp_path / f"{NAME}-micro-s0")
    folder.open(
        describe(toys.dataset(), "micro", 0, toys.small_config(), device="cpu", threads=1), resume=False, force=False
    )
    folder.store({"epoch": 1})
    assert continued(tmp_path, dataset=FILE).folder == f"{NAME}-micro-s0"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"options": 5}', '{"options": {"seeds": 1}, "config": {}}'])
def test_descriptions_that_are_damaged_are_passed_over(content: str, tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(content)
    assert continued(tmp_path).seeds == (0,)


def test_stored_options_are_plain_and_whole(tmp_path: Path) -> None:
    options = complete(Asked(seeds=(1, 2), settings={"hidden": (8, 8)}), out=tmp_path)
    stored = json.loads(json.dumps(stored_options(options, (2, 1))))
    assert stored["seeds"] == [1, 2]
    assert stored["split"] == [2, 1]
    assert set(stored) <= {*asdict(options)}
    assert "out" not in stored
