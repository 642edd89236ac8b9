"""Every mistake is one sentence on stderr and exit code 2; no traceback, and no file that was there changes."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import attacks
from microbench.commands import collect as collect_command
from microbench.commands import train as train_command
from tests.microbench.small_run import Said, Shell, contents, policy_bytes, train_arguments

RUN = "hopper_tiny-micro-quick-s0"
FEW = ("--episodes", "2", "--workers", "1")


pytestmark = pytest.mark.usefixtures("no_report")  # nothing here is about tables and plots


def refused(result: Said, *words: str) -> None:
    assert result.is_one_sentence, result
    assert [word for word in words if word not in result.err] == [], result.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nope", ["No such command 'nope'", "microbench --help"]),
        ("attack", ["there is no budget", "--eps 0.1", "--eps50"]),
        ("attack --eps50 --fail-under 3", ["--fail-under says nothing"]),
        ("attack --eps50 --budgets 1", ["--budgets"]),
        ("attack --eps .1 --budgets 3", ["--budgets", "--eps50"]),
        ("attack --eps50 --eps 0", ["--eps 0 leads nowhere"]),
        ("attack --eps .1 --attack worst@2", ["worst has no settings and no sensors"]),
        ("attack --eps .1 --attack worst(n=3)", ["worst has no settings and no sensors"]),
        ("render --eps .1 --attack worst", ["worst is no attack of its own"]),
        ("attack --eps abc", ["--eps", "valid"]),
        ("attack --epsilon 1", ["No such option"]),
        ("attack --eps -1", ["--eps -1.0 is no budget"]),
        ("attack --eps nan", ["--eps nan is no budget"]),
        ("attack --eps inf", ["--eps inf is no budget"]),
        ("attack --eps .1 --episodes 0", ["--episodes"]),
        ("attack --eps .1 --workers 0", ["--workers"]),
        ("attack --eps .1 --seed -1", ["--seed"]),
        ("attack --eps .1 --attack pgdd", ["'pgdd'", "did you mean 'pgd'"]),
        ("attack --eps .1 --attack nowhere:thing", ["nowhere:thing", "cannot be imported"]),
        ("attack --eps .1 --attack os:nothing", ["os:nothing"]),
        ("attack --eps .1 --attack os:name", ["os:name", "no attack"]),
        ("attack --eps .1 --unit dataset-sdt", ["did you mean 'dataset-std'"]),
        ("attack --eps .1 --unit policy-norm", ["policy-norm", "--unit dataset-std, raw, range"]),
        ("attack --eps .1 --norm l3", ["did you mean 'l2'"]),
        ("attack --eps .1 --env Hoper-v4", ["did you mean 'Hopper-v4'"]),
        ("attack --eps .1 --env Walker2d-v4", ["a policy of Hopper-v4", "--env"]),
        ("attack nowhere --eps .1", ["there is no checkpoint nowhere"]),
        ("attack --eps .1 --runs empty", ["there is no run below empty", "microbench train"]),
        ("perturb --perturbation mas=1", ["'mas'", "did you mean 'mass'"]),
        ("perturb --mass heavy", ["'mass=heavy' is no sweep"]),
        ("perturb --mass 0.5:1.5:0", ["is no sweep"]),
        ("perturb --mass 0.5:1.5", ["mass=0.5:1.5 is a range", "add :COUNT", "--samples N"]),
        ("perturb --mass 0.5:1.5:3 --samples 4", ["--samples draws mass from a range", "LOW:HIGH"]),
        ("perturb --mass 0.5:1.5 --samples 4 --grid", ["--grid", "--samples", "one of the two"]),
        ("perturb --mass 0.5:1.5 --samples 4 --sampling latin", ["did you mean 'latin-hypercube'"]),
        ("perturb --mass 1.5 --attack pgd", ["give both --attack and --eps"]),
        ("perturb --mass 1.5 --eps 0.1", ["give both --attack and --eps"]),
        ("perturb --perturbation mass@tors=2", ["no body 'tors'", "did you mean 'torso'"]),
        ("perturb --perturbation gravity@torso=2", ["'gravity' has no parts"]),
        ("perturb --perturbation latency=0.5", ["whole number of control steps"]),
        ("perturb --perturbation mass=2,mass=3,friction=1", ["mass"]),
        ("perturb --mass 1,nan", ["is no sweep"]),
        ("perturb --mass=-1", ["-1"]),
        ("perturb --friction", ["'friction=--runs' is no sweep"]),
        ("report nowhere.csv", ["nowhere.csv: No such file or directory"]),
        ("report empty", ["empty/results.csv: No such file or directory"]),
        ("collect --out c.hdf5 --env Hoper-v4", ["did you mean 'Hopper-v4'"]),
        ("collect --out c.hdf5 --steps 0", ["--steps"]),
        ("collect --out c.hdf5 --steps 100000000000", ["--steps"]),
        ("collect --out c.hdf5 --until-score nan", ["'--until-score': nan is no finite number"]),
        ("collect --out c.hdf5 --until-score 5 --steps 5000", ["never checked"]),
        ("collect --out c.hdf5 --until-score 5 --steps 9000 --evaluate-every 10000", ["never checked"]),
        ("collect --out c.hdf5 --env Humanoid-v4 --until-score 5", ["no reference scores"]),
    ],
)
def test_mistakes_on_the_command_line(line: str, words: list[str], runs: Path, shell: Shell) -> None:
    Path("empty").mkdir()
    before = contents(Path())
    more = [] if line.startswith(("nope", "report", "collect")) or "--runs" in line else ["--runs", str(runs)]
    refused(shell(*line.split(), *more), *words)
    assert contents(Path()) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dataset", "microbench/hopper"], ["did you mean 'microbench/hopper-medium-replay-v0'"]),
        (["--dataset", "nowhere.hdf5"], ["there is no file nowhere.hdf5"]),
        (["--dataset", "hopper_nowhere.hdf5"], ["there is no file hopper_nowhere.hdf5"]),
        (["--algorithm", "mikro"], ["did you mean 'micro'"]),
        (["--preset", "quik"], ["did you mean 'quick'"]),
        (["--set", "betta=1"], ["did you mean 'beta'"]),
        (["--set", "beta"], ["NAME=VALUE"]),
        (["--set", "beta=many"], ["beta=many"]),
        (["--set", "beta=true"], ["beta=true"]),
        (["--set", "beta=-1"], ["beta"]),
        (["--set", "gap_estimator=maybe"], ["gap_estimator", "independent or paired"]),
        (["--steps", "0"], ["--steps"]),
        (["--threads", "0"], ["--threads"]),
        (["--seed", "-1"], ["--seed"]),
        (["--device", "warp"], ["--device warp cannot be used", "cpu, cuda or auto"]),
        (["--env", "Walker2d-v4"], ["11 observations and 3 actions", "Walker2d-v4 has 17 and 6"]),
        (["--rows", "all"], ["there is no convention of --rows 'all'", "known are qlearning, reference, strict"]),
    ],
)
def test_mistakes_in_training(options: list[str], words: list[str], hopper_file: Path, shell: Shell) -> None:
    refused(shell(*train_arguments(hopper_file, Path("out")), *options), *words)
    assert contents(Path()) == {}


def test_a_run_is_not_overwritten_nor_continued_with_other_settings(
    runs: Path, hopper_file: Path, shell: Shell
) -> None:
    before = contents(runs)
    refused(shell(*train_arguments(hopper_file, runs)), "already holds a run", "--resume", "--force")
    other = train_arguments(hopper_file, runs, batch=8)
    refused(shell(*other), "already holds a run with other settings")
    refused(shell(*other, "--resume"), "batch 16 instead of 8", "config.json", "--force")
    assert contents(runs) == before


@pytest.mark.parametrize("name", ["config.json", "resume.pt"])
@pytest.mark.parametrize("damage", [b"", b"\xff\xfe nonsense", None])
def test_a_damaged_run_is_not_continued(
    name: str, damage: bytes | None, runs: Path, hopper_file: Path, shell: Shell
) -> None:
    path = runs / RUN / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    before = contents(runs)
    refused(shell(*train_arguments(hopper_file, runs), "--resume"), f"{name} is damaged", "--force")
    assert contents(runs) == before


def test_a_state_that_does_not_fit_is_told(runs: Path, hopper_file: Path, shell: Shell) -> None:
    import torch

    torch.save({"model": {}, "epoch": 1}, runs / RUN / "resume.pt")
    refused(shell(*train_arguments(hopper_file, runs), "--resume"), "does not fit this run", "--force")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(key: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def edited(path: Path) -> None:
        with h5py.File(path) as file:
            arrays = {name: file[name][()] for name in ("observations", "actions", "rewards", "terminals")}
        arrays[key] = change(arrays[key])
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                if array is not None:
                    file[name] = array

    return edited


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, ["cannot be read as hdf5", "damaged or incomplete"]),
        (lambda path: path.write_bytes(b""), ["cannot be read as hdf5"]),
        (lambda path: path.write_bytes(b"text"), ["cannot be read as hdf5"]),
        (edit("rewards", lambda _: None), ["lacks rewards"]),
        (edit("rewards", lambda array: array[:-1]), ["unequal lengths"]),
        (edit("observations", lambda array: array[:, 0]), ["'observations'", "expected (N, D)"]),
        (edit("observations", lambda array: array[:, :5]), ["5 observations"]),
        (edit("actions", lambda array: np.full_like(array, np.nan)), ["'actions'", "NaN or infinity", "row 0"]),
    ],
)
def test_damaged_datasets(damage: Callable[[Path], None], words: list[str], hopper_file: Path, shell: Shell) -> None:
    path = Path(shutil.copy(hopper_file, "hopper_damaged.hdf5"))
    damage(path)
    before = contents(Path())
    refused(shell(*train_arguments(path, Path("out"))), *words)
    assert contents(Path()) == before


@pytest.mark.parametrize("damage", [b"", b"junk", policy_bytes()[:500], policy_bytes("Walker2d-v4")])
def test_damaged_policies(damage: bytes, runs: Path, shell: Shell) -> None:
    (runs / RUN / "policy.safetensors").write_bytes(damage)
    before = contents(runs)
    result = shell("attack", "--eps", "0.1", "--env", "Hopper-v4", *FEW, "--runs", runs)
    refused(result, "policy.safetensors")
    assert contents(runs) == before


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("results.csv", lambda text: text[:-30], ["results.csv"]),
        ("results.csv", lambda _: "", ["results.csv: the file is empty"]),
        ("results.csv", lambda text: text.replace("return", "gain"), ["'return' is missing"]),
        ("results.json", lambda text: text[:-30], ["results.json is damaged", "not affected"]),
        ("results.json", lambda _: "[]", ["results.json is damaged"]),
        ("results.json", lambda _: '{"runs": 5}', ["results.json is damaged"]),
    ],
)
@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_damaged_results_are_told_before_the_work(
    name: str, damage: Callable[[str], str], words: list[str], more: list[str], runs: Path, shell: Shell
) -> None:
    assert shell("attack", "--eps", "0.1", "--attack", "random", *FEW, "--runs", runs).code == 0
    path = runs / RUN / name
    path.write_text(damage(path.read_text()))
    before = contents(runs)
    result = shell("attack", "--eps", "0.1", "--attack", "random", *FEW, "--runs", runs, *more)
    refused(result, *words)
    assert contents(runs) == before
    if name == "results.csv":
        refused(shell("report", path), *words)


def test_an_output_that_cannot_be_a_folder(runs: Path, hopper_file: Path, shell: Shell) -> None:
    """A path below a regular file: not even root can write there."""
    Path("file").write_text("mine")
    before = contents(Path())
    out = Path("file/below")
    refused(shell(*train_arguments(hopper_file, out)), "file", "directory")
    refused(shell("attack", "--eps", "0.1", *FEW, "--runs", runs, "--out", out), "file", "directory")
    refused(shell("collect", "--out", out / "c.hdf5", "--steps", 10), "file", "directory")
    assert contents(Path()) == before


def no_space(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_while_training(runs: Path, hopper_file: Path, shell: Shell, monkeypatch: Any) -> None:
    """What was stored stays, and with room the run goes on to the very same policy."""
    config = json.loads((runs / RUN / "config.json").read_text())
    finished = (runs / RUN / "policy.safetensors").read_bytes()
    assert config["config"]["epochs"] == 3
    written: list[int] = []

    def second_epoch(path: Any, content: bytes) -> None:
        written.append(1)
        if len(written) > 12:
            no_space()
        files_replace(path, content)

    from reports.files import replace as files_replace

    with monkeypatch.context() as patch:
        patch.setattr("microbench.learning.runs.replace", second_epoch)
        refused(shell(*train_arguments(hopper_file, Path("full")), "--quiet"), "No space left", "--resume")
    assert Path(f"full/{RUN}/resume.pt").is_file()
    assert shell(*train_arguments(hopper_file, Path("full")), "--resume", "--quiet").code == 0
    assert Path(f"full/{RUN}/policy.safetensors").read_bytes() == finished


def test_a_full_disk_while_attacking(runs: Path, shell: Shell, monkeypatch: Any) -> None:
    command = ("attack", "--eps", "0.1", "--attack", "random", *FEW, "--runs", runs)
    assert shell(*command).code == 0
    before = contents(runs)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", no_space)
        result = shell(*command, "--seed", "50", "--quiet")
    refused(result, "No space left", "make room")
    assert contents(runs) == before


def test_a_rerun_that_fails_loses_no_old_rows(runs: Path, shell: Shell, monkeypatch: Any) -> None:
    command = ("attack", "--eps", "0.1", "--attack", "random", "--attack", "pgd", *FEW, "--runs", runs, "--quiet")
    assert shell(*command).code == 0
    before = sorted((runs / RUN / "results.csv").read_text().splitlines())

    def fails(*_: Any) -> Any:
        raise ValueError("something is wrong.")

    monkeypatch.setitem(attacks.ATTACKS, "pgd", fails)
    refused(shell(*command), "something is wrong")
    assert sorted((runs / RUN / "results.csv").read_text().splitlines()) == before


def test_a_dataset_is_not_overwritten(shell: Shell) -> None:
    Path("mine.hdf5").write_text("hours of work")
    refused(shell("collect", "--out", "mine.hdf5", "--steps", 10), "mine.hdf5 exists already")
    assert Path("mine.hdf5").read_text() == "hours of work"


def test_the_traceback_is_there_for_who_asks(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROBENCH_TRACEBACK", "1")
    with pytest.raises(ValueError, match="there is no run below"):
        shell("attack", "--eps", "0.1")


@pytest.mark.parametrize("command", ["train", "attack", "collect"])
def test_ctrl_c_is_told_and_keeps_what_was_finished(
    command: str, runs: Path, hopper_file: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    if command == "attack":
        monkeypatch.setitem(attacks.ATTACKS, "pgd", pressed)
        result = shell(
            "attack", "--eps", "0.1", "--attack", "random", "--attack", "pgd", *FEW, "--runs", runs, "--quiet"
        )
        assert len((runs / RUN / "results.csv").read_text().splitlines()) == 1 + 4
    elif command == "train":
        monkeypatch.setattr(train_command, "clean_returns", pressed)
        result = shell(*train_arguments(hopper_file, Path("cut")), "--quiet")
        assert Path(f"cut/{RUN}/resume.pt").is_file()
    else:
        monkeypatch.setattr(collect_command, "collect", pressed)
        result = shell("collect", "--out", "c.hdf5")
        assert contents(Path()).keys() == contents(Path()).keys() - {"c.hdf5"}
    assert (result.code, result.out) == (130, "")
    assert result.err == "microbench: interrupted; train, adversary, attack and perturb go on with --resume.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_stdout(tmp_path: Path) -> None:
    import subprocess
    import sys

    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "microbench", "list"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    refused(Said(ran.returncode, "", ran.stderr), "No space left on device")


def test_a_wrong_way_to_draw_is_one_sentence(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """MuJoCo raises it when it is imported, whatever the command."""

    def imported(*_: object, **__: object) -> None:
        raise RuntimeError("invalid value for environment variable MUJOCO_GL: bright")

    monkeypatch.setenv("MUJOCO_GL", "bright")
    monkeypatch.setattr("microbench.commands.inspect.inspect", imported)
    result = shell("inspect", "p")
    assert result.is_one_sentence
    assert "MUJOCO_GL=bright is no way to draw here; expected egl, osmesa, glfw or off" in result.err


def test_what_nobody_foresaw_is_one_sentence_that_says_where_to_look(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero\nand more")

    monkeypatch.setattr("microbench.commands.inspect.inspect", broken)
    result = shell("inspect", "p")
    assert result.is_one_sentence
    assert "ZeroDivisionError: division by zero and more" in result.err
    assert "MICROBENCH_TRACEBACK=1 shows where" in result.err
