"""Two names of one search: run once where nobody names both, chosen from once, and said."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import attacks
import reports
from microbench.checkpoints import load
from microbench.studies.servable import repeated
from microbench.tasks import TASKS
from tests.microbench.checkpoints.foreign_files import write
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.small_run import Shell, write_policy

HOPPER = TASKS["Hopper-v4"]
FEW = ("--eps", "0.2", "--episodes", "2", "--workers", "1", "--env", "Hopper-v4")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reports, "write_report", lambda *_: {}, raising=False)
    monkeypatch.setattr(attacks, "SUITE", ("fgsm", "pgd", "action-diff"))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "p.zip", FILES["sb3-td3.zip"]())
    return tmp_path


def rows() -> pd.DataFrame:
    (path,) = Path("runs").rglob("results.csv")
    return pd.read_csv(path, keep_default_na=False)


def candidates() -> list[str]:
    (path,) = Path("runs").rglob("results.json")
    (choice,) = json.loads(path.read_text())["runs"][-1]["worst"]
    return list(choice["mean_returns"])


def test_without_names_it_is_run_and_chosen_from_once(here: Path, shell: Shell) -> None:
    result = shell("attack", "p.zip", *FEW)
    assert result.code == 0, result.err
    assert result.err.count("action-diff is the same search as pgd for this policy, which has no critic") == 1
    assert set(rows()["attack"]) == {"none", "random", "fgsm", "pgd", "worst"}
    assert candidates() == ["fgsm", "pgd", "random"]


def test_who_names_both_gets_both_and_is_told(here: Path, shell: Shell) -> None:
    named = ("--attack", "action-diff", "--attack", "pgd", "--attack", "worst")
    result = shell("attack", "p.zip", *FEW, *named)
    assert "pgd is the same search as action-diff" in result.err
    returns = {name: own["return"].tolist() for name, own in rows().groupby("attack")}
    assert returns["pgd"] == returns["action-diff"]
    assert candidates() == ["fgsm", "action-diff"]


@pytest.mark.parametrize(
    ("names", "same"),
    [
        (["pgd", "pgd(steps=10)", "pgd(critic=own)"], {"pgd(steps=10)": "pgd", "pgd(critic=own)": "pgd"}),
        (["pgd", "pgd@2", "pgd(steps=9)", "pgd(snap=false)"], {}),
        (["pgd@2", "action-diff@2", "action-diff@3"], {"action-diff@2": "pgd@2"}),
        (["fgsm", "pgd", "pgd-restarts", "random", "action-kl"], {}),
    ],
)
def test_sensors_and_settings_count(here: Path, names: list[str], same: dict[str, str]) -> None:
    assert repeated(load(here / "p.zip"), HOPPER, names) == same


def test_a_policy_with_a_critic_has_other_repetitions(tmp_path: Path) -> None:
    own = write_policy(tmp_path / "policy.safetensors")
    assert repeated(own, HOPPER, ["pgd", "action-diff", "min-q-gradient"]) == {"min-q-gradient": "pgd"}
    assert repeated(own, HOPPER, [*attacks.SUITE]) == {}


def test_what_is_no_record_is_never_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(target: Any, obs: Any, threat: Any, noise: Any) -> Any:
        return obs

    monkeypatch.setattr("tests.microbench.toys.mine", mine, raising=False)
    own = write_policy(tmp_path / "policy.safetensors")
    assert repeated(own, HOPPER, ["tests.microbench.toys:mine", "tests.microbench.toys:mine@2"]) == {}
