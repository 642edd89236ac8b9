"""Attacks as the command line takes them: settings, sensors, the range of the data."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load, save

import reports
from microbench.evaluation.sensors import sensor_names
from microbench.tasks import find_task
from tests.microbench.small_run import Shell, policy_bytes, write_policy

FEW = ("--eps", "0.1", "--episodes", "1", "--workers", "1", "--quiet", "--out", "here")


pytestmark = pytest.mark.usefixtures("no_report")  # nothing here is about tables and plots


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    write_policy(tmp_path / "policy.safetensors")
    return tmp_path / "policy.safetensors"


def test_each_stands_for_one_row_per_sensor(policy: Path, shell: Shell) -> None:
    assert (
        shell("attack", policy, *FEW, "--attack", "fgsm(step_size=0.5)@each", "--attack", "random@positions").code == 0
    )
    names = [f"fgsm(step_size=0.5)@{name}" for name in sensor_names(find_task("Hopper-v4"))]
    assert reports.read(Path("here/results.csv"))["attack"].tolist() == ["none", *names, "random@positions"]


def test_in_range_is_a_part_of_the_norm(policy: Path, shell: Shell) -> None:
    assert shell("attack", policy, *FEW, "--attack", "random", "--in-range").code == 0
    assert shell("attack", policy, *FEW, "--attack", "random", "--norm", "l2").code == 0
    rows = reports.read(Path("here/results.csv"))
    assert dict(zip(rows["norm"], rows["attack"], strict=True)) == {
        "linf,in-range": "random",
        "": "none",
        "l2": "random",
    }
    output = json.loads(Path("here/results.json").read_text())["runs"][0]["conditions"]
    assert output["norm"] == "linf,in-range"


def test_a_perturbed_world_can_be_attacked_in_range(policy: Path, shell: Shell) -> None:
    assert shell("perturb", policy, *FEW, "--mass", "0.5", "--attack", "random", "--norm", "l2,in-range").code == 0
    rows = reports.read(Path("here/results.csv"))
    assert set(rows.loc[rows["attack"] != "none", "norm"]) == {"l2,in-range"}


def test_a_file_of_before_does_not_know_its_range(tmp_path: Path, shell: Shell) -> None:
    content = policy_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    tensors = {name: tensor for name, tensor in load(content).items() if name != "obs_low"}
    (tmp_path / "old.safetensors").write_bytes(save(tensors, header))
    result = shell("attack", tmp_path / "old.safetensors", *FEW, "--attack", "random", "--in-range")
    assert result.is_one_sentence
    assert "does not say the range of its dataset's observations: train it again" in result.err
    assert shell("attack", tmp_path / "old.safetensors", *FEW, "--attack", "random").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--attack", "pgd@nose"], "no sensor 'nose'"),
        (["--attack", "pgd(step=5)"], "did you mean 'steps'"),
        (["--attack", "pgd(steps=5"], "write it as pgd"),
        (["--attack", "random", "--norm", "linf,in-rage"], "in-range"),
        (["--attack", "v-min"], "needs a value V(s)"),
        (["--attack", 'targeted(action="1 1")'], "has 2 numbers, the policy's have 3"),
    ],
)
def test_mistakes_are_one_sentence(policy: Path, shell: Shell, arguments: list[str], words: str) -> None:
    result = shell("attack", policy, *FEW, *arguments)
    assert result.is_one_sentence, result
    assert words in result.err


def test_inspect_says_what_each_attack_lacks(policy: Path, shell: Shell) -> None:
    output = json.loads(shell("inspect", policy, "--json").out)
    assert output["ensemble"]
    assert output["obs_bounds"]
    assert not output["state_value"]
    assert output["attacks"]["v-min"].startswith("it needs a value V(s)")
    assert output["attacks"]["compat:tirl-min-q"] == "yes"
