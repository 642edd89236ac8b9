"""`microbench critic`, and `--critic` of the commands that attack."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from microbench.critics.storing import load_critic
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.small_run import Shell, write_policy

pytestmark = pytest.mark.usefixtures("no_report")  # nothing here is about tables and plots

TINY = ("--episodes", 4, "--steps", 1)  # one update: a poor critic
FEW = ("--episodes", 2, "--workers", 1, "--eps", 0.1, "--out", "out")


@pytest.fixture
def here(shell: Shell) -> Shell:
    write_policy(Path("policy.safetensors"))
    Path("p.model").write_bytes(FILES["sa-ppo.model"]())
    return shell


def rows() -> pd.DataFrame:
    return pd.read_csv("out/results.csv")


def test_a_critic_is_fitted_told_and_the_same_again(here: Shell) -> None:
    result = here("critic", "policy.safetensors", *TINY)
    assert result.code == 0, result.err
    for word in (
        "critic: fqe.safetensors (fqe, fitted to 4 episodes",
        "R²",
        "rank correlation",
        "warning: a poor critic",
    ):
        assert word in result.out
    first = Path("fqe.safetensors").read_bytes()
    output = json.loads(here("critic", "policy.safetensors", *TINY, "--out", "again.st", "--quiet", "--json").out)
    assert Path("again.st").read_bytes() == first
    stored = load_critic(Path("fqe.safetensors")).origin
    assert output["report"] == stored.report
    assert output["warning"] == stored.poor != ""
    assert stored.fit.gamma == 0.99
    assert here("critic", "policy.safetensors", *TINY).is_one_sentence  # it is there


def test_robust_sarsa_takes_its_settings(here: Shell) -> None:
    more = ("--method", "robust-sarsa", "--radius", 0.3, "--weight", 2, "--members", 3, "--noise", 0.2, "--gamma", 0.9)
    assert here("critic", "policy.safetensors", *TINY, *more, "--quiet").out == ""
    origin = load_critic(Path("robust-sarsa.safetensors")).origin
    assert origin.method_settings == {"weight": 2.0, "action_radius": 0.3, "obs_radius": 0.0}
    assert (origin.fit.members, origin.fit.gamma, origin.source.rpartition(" ")[2]) == (3, 0.9, "0.2")


def test_a_critic_from_a_dataset(here: Shell, hopper_file: Path) -> None:
    result = here("critic", "policy.safetensors", "--dataset", hopper_file, "--steps", 60)
    assert result.code == 0, result.err
    assert "steps of hopper_tiny" in result.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--method", "fque"), "did you mean 'fqe'"),
        (("--radius", 0.1), "settings of robust-sarsa"),
        (("--method", "robust-sarsa", "--dataset", "microbench/hopper-medium-replay-v0"), "leave --dataset out"),
        (("--gamma", 1), "gamma is 1.0"),
        (("--env", "Walker2d-v4"), "Walker2d-v4"),
        (("--dataset", "nowhere.hdf5"), "--dataset takes the place of episodes of the policy, so --episodes says"),
        (("--noise", "inf"), "'--noise': inf is no finite number"),
    ],
)
def test_mistakes(options: tuple[object, ...], words: str, here: Shell) -> None:
    result = here("critic", "policy.safetensors", *TINY, *options)
    assert result.is_one_sentence
    assert words in result.err
    assert not list(Path().glob("*fqe*"))


@pytest.mark.parametrize(
    ("options", "words"), [((), "nowhere.hdf5"), (("--noise", 0.1), "so --noise says nothing there")]
)
def test_mistakes_with_a_dataset(options: tuple[object, ...], words: str, here: Shell) -> None:
    result = here("critic", "policy.safetensors", "--dataset", "nowhere.hdf5", *options)
    assert result.is_one_sentence
    assert words in result.err


def test_own_and_fitted_critics_stand_side_by_side(here: Shell) -> None:
    assert here("critic", "policy.safetensors", *TINY, "--quiet").code == 0
    result = here(
        "attack", "policy.safetensors", *FEW, "--attack", "min-q", "--critic", "own", "--critic", "fqe.safetensors"
    )
    assert result.code == 0, result.err
    assert "warning: fqe.safetensors is a poor critic" in result.err
    measured = rows()
    name = 'min-q(critic="fqe.safetensors")'
    assert list(dict.fromkeys(measured["attack"])) == ["none", "min-q", name]
    assert name in result.out
    assert (measured["flags"].fillna("").str.contains("poor-critic") == (measured["attack"] == name)).all()
    (run,) = json.loads(Path("out/results.json").read_text())["runs"]
    (about,) = run["critics"].values()
    assert about["sha256"] == load_critic(Path("fqe.safetensors")).sha256
    assert (about["own"], about["method"]) == (True, "fqe")


def test_a_policy_without_a_critic_is_attacked_by_a_fitted_one(here: Shell) -> None:
    assert here("critic", "p.model", *TINY, "--out", "fqe.st", "--quiet").code == 0
    result = here("attack", "p.model", *FEW, "--critic", "fqe.st")
    assert result.code == 0, result.err
    assert "left out" not in result.err
    assert 'min-q(critic="fqe.st")' in set(rows()["attack"])
    again = here("perturb", "p.model", "--mass", "1.2", *FEW, "--attack", "fgsm", "--critic", "fqe.st")
    assert again.code == 0, again.err
    assert 'fgsm(critic="fqe.st")' in set(rows()["attack"])


@pytest.mark.usefixtures("workers_here")
def test_workers_do_not_change_rows_with_a_critic(here: Shell) -> None:
    assert here("critic", "policy.safetensors", *TINY, "--quiet").code == 0
    common = (
        "attack",
        "policy.safetensors",
        "--eps",
        0.1,
        "--episodes",
        12,
        "--attack",
        'pgd(critic="fqe.safetensors")',
    )
    for workers, out in ((1, "one"), (2, "two")):
        assert here(*common, "--workers", workers, "--out", out).code == 0
    assert Path("one/results.csv").read_bytes() == Path("two/results.csv").read_bytes()


def test_what_cannot_be_meant_is_one_sentence(here: Shell) -> None:
    assert here("critic", "policy.safetensors", *TINY, "--quiet").code == 0
    for words, options in (
        ("there is no critic file", ("--attack", "pgd", "--critic", "nowhere.st")),
        ("uses none", ("--attack", 'random(critic="fqe.safetensors")')),
        ("policy without a critic", ("--attack", "pgd", "--critic", "p.model")),
    ):
        result = here("attack", "policy.safetensors", *FEW, *options)
        assert result.is_one_sentence
        assert words in result.err


def test_a_critic_of_another_policy_is_allowed_with_a_remark(here: Shell) -> None:
    write_policy(Path("other.safetensors"), seed=9)
    assert here("critic", "other.safetensors", *TINY, "--quiet").code == 0
    result = here("attack", "policy.safetensors", *FEW, "--attack", "min-q", "--critic", "fqe.safetensors")
    assert result.code == 0
    assert "judges another policy" in result.err


def test_a_name_does_not_come_to_mean_another_critic(here: Shell) -> None:
    for seed in (0, 1):
        Path("fqe.safetensors").unlink(missing_ok=True)
        assert here("critic", "policy.safetensors", *TINY, "--seed", seed, "--quiet").code == 0
        result = here("attack", "policy.safetensors", *FEW, "--attack", "min-q", "--critic", "fqe.safetensors")
        assert result.code == (2 if seed else 0)
    assert "another critic than the one that earlier rows" in result.err


def test_the_command_line_leaves_threads_as_they_were(here: Shell) -> None:
    before = torch.get_num_threads()
    assert here("critic", "policy.safetensors", *TINY, "--quiet").code == 0
    assert torch.get_num_threads() == before
