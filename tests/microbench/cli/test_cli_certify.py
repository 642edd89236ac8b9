"""`microbench certify`: attack ≤ bound on the screen, in the files and in the figure; no certificate is said so."""

import itertools
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.microbench.checkpoints.foreign_files import write
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.small_run import Shell

FEW = ("--episodes", "1", "--states", "8")
SERIES = ("random", "attack", "bound", "crown", "ibp")


def policy(folder: Path, name: str = "sa-ppo.model") -> str:
    write(folder / name, FILES[name]())
    return name


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_attack_and_bounds_are_a_sandwich_that_widens_with_the_budget(
    tmp_path: Path, shell: Shell, norm: str
) -> None:
    budgets = [f"--eps={eps}" for eps in (0.2, 0, 0.05)]  # in any order
    output = json.loads(shell("certify", policy(tmp_path), *budgets, "--norm", norm, *FEW, "--json").out)
    assert [one["eps"] for one in output["budgets"]] == [0, 0.05, 0.2]
    assert (output["task"], output["unit"], output["states"], output["seeds"]) == (
        "Hopper-v4",
        "policy-norm",
        8,
        [0, 0],
    )
    means = [[one["changes"][name]["mean"] for name in SERIES] for one in output["budgets"]]
    assert means[0] == [0.0] * 5
    for smaller, larger in itertools.pairwise(means):
        assert all(a < b for a, b in zip(smaller, larger, strict=True))
    for one in output["budgets"]:
        random, attack, bound, crown, ibp = (one["changes"][name]["max"] for name in SERIES)
        assert random <= attack <= bound <= min(crown, ibp)
        reached, proven = (one["largest_per_action"][name] for name in ("attack", "bound"))
        assert len(reached) == 3
        assert all(a <= b for a, b in zip(reached, proven, strict=True))


def test_the_table_and_the_figure_are_beside_the_numbers(tmp_path: Path, shell: Shell) -> None:
    result = shell("certify", policy(tmp_path), "--eps", "0.05", *FEW, "--out", "here")
    assert "| 0.05 policy-norm linf |" in result.out
    folder = tmp_path / "here" / "certificates"
    assert {path.name for path in folder.iterdir()} == {
        f"certificates.{end}" for end in ("json", "csv", "md", "png", "svg")
    }
    table = pd.read_csv(folder / "certificates.csv").set_index("over")
    stored = json.loads((folder / "certificates.json").read_text())["budgets"][0]
    assert table.loc["median", "crown"] == stored["changes"]["crown"]["median"]
    assert (folder / "certificates.md").read_text() in result.out


def test_equal_commands_give_equal_numbers(tmp_path: Path, shell: Shell) -> None:
    output = [shell("certify", policy(tmp_path), "--eps", "0.1", *FEW, "--json").out for _ in range(2)]
    assert json.loads(output[0])["budgets"] == json.loads(output[1])["budgets"]


@pytest.mark.parametrize(
    ("name", "why"), [("lstm.model", "it has a memory or a clock"), ("traced.pt", "layers of relu")]
)
def test_a_policy_without_layers_has_no_certificate_in_one_sentence(
    tmp_path: Path, shell: Shell, name: str, why: str
) -> None:
    result = shell("certify", policy(tmp_path, name), "--eps", "0.1", "--env", "Hopper-v4")
    assert result.is_one_sentence
    assert why in result.err
    assert "use microbench attack" in result.err


def test_a_budget_that_is_none_is_told_in_one_sentence(tmp_path: Path, shell: Shell) -> None:
    for arguments in ([], ["--eps", "-1"], ["--eps", "nan"], ["--eps", "0.1", "--norm", "l3"]):
        assert shell("certify", policy(tmp_path), *arguments).is_one_sentence
