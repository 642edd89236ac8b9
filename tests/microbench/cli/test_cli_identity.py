"""Which episodes and files are the same, as commands see it: neighbouring seeds, units, and replaced files."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import reports
from microbench.studies.provenance import commit
from tests.microbench.small_run import Shell, write_policy

FEW = ("--episodes", "3", "--workers", "1", "--out", "here")
ATTACK = ("attack", "policy.safetensors", "--eps", "0.1", "--attack")
MODULE = """
from pathlib import Path
from dataclasses import dataclass
@dataclass(frozen=True)
class Steady:
    weights: str = ""
    def __call__(self, target, obs, threat, noise):
        return threat.project(obs, obs + 1)
steady = Steady()
def sway(factor):
    return lambda model: model
"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A policy to attack, and no reports, which take most of the time of a small evaluation."""
    monkeypatch.setattr(reports, "write_report", lambda *_: {}, raising=False)
    monkeypatch.chdir(tmp_path)
    write_policy(tmp_path / "policy.safetensors")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "mine_of_test_cli_identity.py"
    path.write_text(MODULE)
    yield path
    sys.modules.pop(path.stem, None)


def rows(folder: str = "here") -> pd.DataFrame:
    return reports.read(Path(folder, "results.csv"))


def last_run(folder: str = "here") -> dict[str, object]:
    measured: dict[str, object] = json.loads(Path(folder, "results.json").read_text())["runs"][-1]
    return measured


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_neighbouring_seeds_measure_what_they_share_once(shell: Shell) -> None:
    assert "measured before" not in shell(*ATTACK, "random", *FEW).err
    result = shell(*ATTACK, "random", *FEW, "--seed", 1)
    assert "4 of 6 episodes were measured before (--seed 3 is the next that shares none)" in result.err
    assert "they are measured again." in result.err
    both = rows()
    assert both.groupby("attack")["eval_seed"].apply(sorted).to_dict() == {"none": [0, 1, 2, 3], "random": [0, 1, 2, 3]}
    assert "measured before" not in shell(*ATTACK, "random", *FEW, "--seed", 4).err
    result = shell(*ATTACK, "random", *FEW, "--seed", 1, "--resume")
    assert "6 of 6 episodes were measured before (--seed 7 is the next that shares none); they are kept." in result.err


def test_commands_with_any_seeds_give_the_table_of_one_over_all_their_episodes(shell: Shell) -> None:
    for seed in (2, 0, 1):
        shell(*ATTACK, "random", *FEW, "--seed", seed)
    shell(*ATTACK, "random", "--episodes", 5, "--workers", 1, "--out", "once")
    order = ["attack", "eval_seed"]
    several, one = (rows(name).sort_values(order, ignore_index=True) for name in ("here", "once"))
    assert_frame_equal(several.drop(columns="episode"), one.drop(columns="episode"))


def test_a_perturbation_that_is_measured_in_no_unit_is_the_same_under_every_unit(shell: Shell) -> None:
    for unit in ("dataset-std", "raw"):
        sweep = ("--mass", "1.5", "--perturbation", "sensor-dropout=0.1", "--perturbation", "sensor-noise=0.1")
        assert shell("perturb", "policy.safetensors", *sweep, "--unit", unit, *FEW).code == 0
    assert rows().groupby(["perturbation", "unit"]).size().to_dict() == {
        ("mass", ""): 3,
        ("none", ""): 3,
        ("sensor-dropout", ""): 3,
        ("sensor-noise", "dataset-std"): 3,
        ("sensor-noise", "raw"): 3,
    }


def test_rows_hold_the_hashes_of_the_files_that_their_attack_and_perturbation_name(
    shell: Shell, module: Path, tmp_path: Path
) -> None:
    (tmp_path / "weights.pt").write_bytes(b"1")
    attack = f'{module.stem}:steady(weights="weights.pt")'
    sweep = ("--perturbation", f"mass=1.5,{module.stem}:sway=2")
    result = shell("perturb", "policy.safetensors", *sweep, "--attack", attack, "--eps", "0.1", *FEW)
    assert result.code == 0, result.err
    measured = rows()
    own, weights = sha256(module), sha256(tmp_path / "weights.pt")
    columns = ["attack", "perturbation", "attack_files", "perturbation_files"]
    both, world = f"{own};{weights}", f"mass=1.5,{module.stem}:sway"
    assert set(measured[columns].itertuples(index=False, name=None)) == {
        ("none", "none", "", ""),
        ("none", world, "", own),
        (attack, "none", both, ""),
        (attack, world, both, own),
    }
    about = last_run()
    assert about["attacks"] == {
        attack: {
            **{"name": attack, "sensors": "", "readings": 11, "critic": None},
            "files": {module.stem: own, "weights.pt": weights},
        }
    }
    named = {"nominal": 1.0, "unit": "", "in_obs_units": False}
    assert about["perturbations"] == {
        "mass": named | {"files": {}},
        f"{module.stem}:sway": named | {"files": {module.stem: own}},
    }


def test_a_file_that_was_replaced_is_refused_in_the_same_folder_and_another_condition_elsewhere(
    shell: Shell, module: Path, tmp_path: Path
) -> None:
    weights, attack = tmp_path / "weights.pt", f'{module.stem}:steady(weights="weights.pt")'
    weights.write_bytes(b"1")
    assert shell(*ATTACK, attack, *FEW).code == 0
    before = Path("here/results.csv").read_bytes()
    weights.write_bytes(b"2")
    for more in ([], ["--resume"], ["--seed", "7"]):
        result = shell(*ATTACK, attack, *FEW, *more)
        assert result.is_one_sentence
        assert "weights.pt has another content than the one that earlier rows here were measured with" in result.err
    Path("here/results.json").unlink()  # the rows alone tell it as well
    assert "another content than the one that earlier rows" in shell(*ATTACK, attack, *FEW).err
    assert Path("here/results.csv").read_bytes() == before
    assert shell(*ATTACK, attack, *FEW[:-1], "there").code == 0
    merged = reports.load_study(["here/results.csv", "there/results.csv"]).summary
    names = merged.loc[merged["attack"] != "none", "attack"].tolist()
    shas = [hashlib.sha256(content).hexdigest() for content in (b"1", b"2")]
    assert sorted(names) == sorted(f"{attack}#{sha256(module)[:8]}+{sha[:8]}" for sha in shas)
    assert merged["n"].tolist() == [3, 3, 3]


def test_the_record_says_what_made_the_rows_again(shell: Shell) -> None:
    shell(*ATTACK, "random", *FEW)
    about = last_run()
    assert about["checkpoint_path"] == "policy.safetensors"
    assert about["checkpoint"] == sha256(Path("policy.safetensors"))
    assert pd.Timestamp(str(about["date"])).utcoffset() == pd.Timedelta(0)
    assert about["processor"]
    assert isinstance(about["threads"], int)
    assert about["commit"] == commit()


def test_the_commit_is_read_from_the_files_of_a_checkout(tmp_path: Path) -> None:
    package, git = tmp_path / "checkout" / "microbench", tmp_path / "checkout" / ".git"
    package.mkdir(parents=True)
    git.mkdir()
    assert (
        commit(package) is None or len(str(commit(package))) == 40
    )  # no checkout of ours: what pip wrote, if anything
    (package.parent / "pyproject.toml").touch()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert commit(package) is None
    (git / "packed-refs").write_text(f"# pack-refs\n{'1' * 40} refs/heads/main\n")
    assert commit(package) == "1" * 40
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "main").write_text("2" * 40 + "\n")
    assert commit(package) == "2" * 40
    (git / "HEAD").write_text("3" * 40 + "\n")
    assert commit(package) == "3" * 40
