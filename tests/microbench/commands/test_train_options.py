"""Options of a training that contradict each other, or that nobody can mean: refused before anything is written."""

from pathlib import Path
from typing import Any

import pytest
import torch

from microbench.commands.train import split_of
from microbench.commands.train_options import Asked, check, complete
from microbench.errors import UserError
from microbench.learning.train import Training
from tests.microbench.small_run import Shell, contents, train_arguments
from tests.microbench.toys import one_line


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"steps": 10, "settings": {"epochs": 2}}, "--steps and --set epochs"),
        ({"steps": 10**18}, "--steps is"),
        ({"threads": 100_000}, "--threads is 100000, expected 1 to 1024"),
        ({"algorithm": "sac", "settings": {"beta": 1.0}}, "--set beta belongs to the charge of micro"),
        ({"algorithm": "sac", "settings": {"gap_estimator": "paired"}}, "gap_estimator"),
        ({"settings": {"alpha_lr": 1e-3}}, r"alpha is fixed at 0\.1, so --set alpha_lr decides nothing"),
        ({"settings": {"alpha": 0.2, "max_alpha": 1.0}}, r"alpha is fixed at 0\.2"),
        ({"algorithm": "mikro"}, "did you mean 'micro'"),
        ({"preset": "quik"}, "did you mean 'quick'"),
    ],
)
def test_contradictions_and_absurd_numbers(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        check(complete(Asked(**asked), out=Path("runs")))
    assert one_line(caught.value)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"steps": 10, "settings": {"updates_per_epoch": 5}},
        {"settings": {"alpha": None, "alpha_lr": 1e-3}},
        {"preset": "paper", "settings": {"alpha_lr": 1e-3}},
        {"algorithm": "sac", "settings": {"alpha": 0.3}},
    ],
)
def test_what_goes_together_is_accepted(asked: dict[str, Any]) -> None:
    check(complete(Asked(dataset="mine.hdf5", **asked), out=Path("runs")))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "1", "--seeds", "0,1"], "--seed 1 and --seeds 0,1"),
        (["--resume", "--force"], "--resume continues a run and --force starts it over"),
        (["--set", "beta=1", "--set", "beta=2"], "--set beta is given twice"),
        (["--graph"], "--graph launches updates on a GPU"),
        (["--device", "meta"], "--device meta cannot be used"),
        (["--device", "nonsense"], "--device nonsense cannot be used"),
        (["--threads", "100000"], "--threads is 100000"),
        (["--set", "hidden=[0]"], "hidden is (0,), expected 1 to 16 layers"),
        (["--set", "hidden=[8,[8]]"], "hidden is"),
        (["--set", "batch=1" + "0" * 30], "batch is"),
        (["--set", "beta=1e999"], "beta is inf"),
        (["--seed", "1" + "0" * 30], "--seed"),
        (["--seeds", "1" + "0" * 30], "--seeds"),
        (["--seeds", ",".join(map(str, range(300)))], "at most 256 seeds"),
        (["--set", "hidden=" + "[" * 100_000], "--set hidden="),
        (["--set", "batch=" + "1" * 5000], "--set batch="),
    ],
)
def test_a_training_that_cannot_be_meant_writes_nothing(
    options: list[str], words: str, hopper_file: Path, shell: Shell
) -> None:
    arguments = train_arguments(hopper_file, Path("out"))
    named = {word for word in options if word.startswith("--") and word != "--set"}
    if "--threads" in named:
        place = arguments.index("--threads")
        del arguments[place : place + 2]
    if "--set" in options:
        name = options[1].partition("=")[0]
        arguments = [word for word in arguments if not word.startswith(f"--set={name}=")]
    result = shell(*arguments, *options)
    assert result.is_one_sentence, result
    assert words in result.err
    assert contents(Path()) == {}


@pytest.mark.parametrize(
    ("asked", "processes", "threads"),
    [
        ({}, 1, 1),
        ({"seeds": (0, 1, 2)}, 3, 1),
        ({"seeds": tuple(range(20))}, 8, 1),
        ({"threads": 4}, 1, 4),
        ({"threads": 4, "seeds": (0, 1, 2)}, 3, 1),
        ({"preset": "paper"}, 1, 8),
        ({"preset": "paper", "seeds": (0, 1, 2)}, 3, 2),
    ],
)
def test_the_quick_preset_has_one_thread_per_seed_on_any_machine(
    asked: dict[str, Any], processes: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here on one with eight cores; how many there are decides how many seeds run at a time, and nothing else."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    options = complete(Asked(**asked), out=Path("runs"))
    assert split_of(options, torch.device("cpu")) == (processes, threads)


def test_another_task_than_a_bundled_datasets_is_refused(shell: Shell) -> None:
    result = shell("train", "--env", "Walker2d-v4", "--out", "out")
    assert result.is_one_sentence
    assert "not of Walker2d-v4; leave --env out" in result.err
    assert contents(Path()) == {}


def test_seeds_of_which_one_is_taken_leave_nothing_behind(runs: Path, hopper_file: Path, shell: Shell) -> None:
    before = contents(runs)
    for seeds in ("3,0", "0,3"):
        result = shell(*train_arguments(hopper_file, runs), "--seeds", seeds, "--quiet")
        assert result.is_one_sentence
        assert "already holds a run" in result.err
    assert contents(runs) == before
    assert sorted(path.name for path in runs.iterdir()) == ["hopper_tiny-micro-quick-s0", "latest"]


def test_a_finished_run_is_not_written_again(runs: Path, shell: Shell) -> None:
    """Not even how it was made, and how long that took."""
    before = contents(runs)
    result = shell("train", "--resume", "--out", runs)
    assert (result.code, result.err) == (0, "")
    assert "hopper_tiny-micro-quick-s0/policy.safetensors" in result.out
    assert contents(runs) == before


def test_a_policy_survives_a_training_that_starts_it_over_and_fails(
    runs: Path, hopper_file: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is interrupted is continued by --resume alone, and ends with what the same settings always give."""
    policy = runs / "hopper_tiny-micro-quick-s0" / "policy.safetensors"
    before = policy.read_bytes()
    fit = Training.fit_dynamics

    def fails(training: Training, listen: Any) -> Any:
        for number, _ in enumerate(fit(training, listen)):
            yield
            if number == 1:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Training, "fit_dynamics", fails)
        assert shell(*train_arguments(hopper_file, runs), "--force", "--quiet").code == 130
    assert policy.read_bytes() == before
    policy.write_bytes(b"an older policy")
    assert shell("train", "--resume", "--out", runs, "--quiet").code == 0
    assert policy.read_bytes() == before
    assert not (policy.parent / "next").exists()
