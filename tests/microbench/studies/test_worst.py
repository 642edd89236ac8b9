"""The worst of a suite: what is chosen on which episodes, what is measured, and what a minimum would have claimed."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attacks
import reports
from microbench.checkpoints import load
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, HELD_OUT, HELD_OUT_BLOCK, Cell, held_out, plan_episodes
from microbench.studies import worst
from reports.study.worst import WORST
from tests.microbench.forked import run_killed_at
from tests.microbench.small_run import Shell
from tests.reports.toys import episodes, table

pytestmark = pytest.mark.usefixtures("no_report")  # nothing here is about tables and plots

FEW = ("--eps", "0.2", "--episodes", "3", "--workers", "1", "--quiet", "--runs")
SUITE = ("fgsm", "pgd")
SMALL = f"import attacks; attacks.SUITE = {SUITE}"
CELL = Cell(attack=WORST, eps=0.1)
RUN = "hopper_tiny-micro-quick-s0"


@pytest.fixture(autouse=True)
def small_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attacks are enough to choose from."""
    monkeypatch.setattr(attacks, "SUITE", SUITE)


def recorded(folder: Path) -> list[dict[str, Any]]:
    """The choices of the newest command."""
    return list(json.loads((folder / "results.json").read_text())["runs"][-1]["worst"])


def measured(returns: dict[str, list[float]], flags: dict[str, str] | None = None) -> pd.DataFrame:
    """Rows of attacks at eps 0.1 on episodes 0, 1, …, seeded from 100, beside the clean ones."""
    flags = flags or {}
    n = max(map(len, returns.values()))
    return table(
        episodes([50.0] * n),
        *(
            episodes([value / 20 for value in values], attack=name, eps=0.1, flags=flags.get(name, ""))
            for name, values in returns.items()
        ),
    )


def chosen(returns: dict[str, list[float]], flags: dict[str, str] | None = None) -> dict[str, Any]:
    (choice,) = worst.choose(measured(returns, flags), [CELL], list(returns), len(next(iter(returns.values()))), 100)
    return dict(choice.about)


def test_the_winner_is_measured_on_held_out_episodes_and_all_attacks_on_equally_many() -> None:
    stages = worst.worst_of([CLEAN, CELL], ["pgd", "fgsm"], 3, 100)
    first = next(stages)
    numbers = {
        name: [(episode.number, episode.seed) for episode in first.episodes if episode.cell.attack == name]
        for name in ("none", "pgd", "fgsm")
    }
    choosing = [(0, 100), (1, 101), (2, 102)]
    fresh = [(number, held_out(100) + number) for number in range(3)]
    assert numbers == {"none": [*choosing, *fresh], "pgd": choosing, "fgsm": choosing}
    second = stages.send(measured({"pgd": [700.0, 800.0, 900.0], "fgsm": [600.0, 700.0, 800.0]}))
    assert [(episode.number, episode.seed) for episode in second.episodes] == fresh
    assert {(episode.cell.attack, episode.cell.shown) for episode in second.episodes} == {("fgsm", WORST)}


@given(st.lists(st.tuples(st.integers(0, 2 * 10**6), st.integers(1, 1000)), min_size=1, max_size=5))
def test_episodes_that_measure_are_never_ones_that_choose_whatever_seeds_the_commands_have(
    commands: list[tuple[int, int]],
) -> None:
    """Nor do the commands share episodes that measure, unless their seeds are equal."""
    choosing, measuring = list[range](), dict[int, range]()
    for seed, n in commands:
        choosing.append(range(seed, seed + n))
        measuring[seed] = range(held_out(seed), held_out(seed) + n)
    assert max(block.stop for block in choosing) <= min(block.start for block in measuring.values())
    blocks = sorted(measuring.values(), key=lambda block: block.start)
    assert all(one.stop <= other.start for one, other in itertools.pairwise(blocks))


@pytest.mark.parametrize(("n", "seed"), [(1, HELD_OUT), (2, HELD_OUT - 1), (HELD_OUT_BLOCK + 1, 0)])
def test_seeds_at_which_choosing_would_meet_measuring_are_refused(n: int, seed: int) -> None:
    with pytest.raises(UserError, match="give a smaller --seed"):
        next(worst.worst_of([CLEAN, CELL], ["pgd"], n, seed))


def test_attacks_with_unequal_episodes_are_not_compared() -> None:
    """An attack that was stopped early, or ran on other episodes, has a mean of its own kind."""
    rows = measured({"pgd": [700.0, 800.0, 900.0], "fgsm": [100.0, 100.0]})
    for suite in (["pgd", "fgsm"], ["pgd", "never-run"]):
        with pytest.raises(ValueError, match="not measured on the 3 episodes of the others"):
            worst.choose(rows, [CELL], suite, 3, 100)
    with pytest.raises(ValueError, match="not measured on the 3 episodes"):
        worst.choose(rows, [CELL], ["pgd"], 3, 0)


def test_the_choice_tells_by_how_much() -> None:
    """Means 800 and 812; the paired differences 10, 12, 14 have the t-interval 12 ± 4.303 · 2/√3."""
    choice = chosen({"a": [710.0, 812.0, 914.0], "b": [700.0, 800.0, 900.0], "c": [990.0, 991.0, 992.0]})
    assert (choice["attack"], choice["runner_up"], choice["episodes"], choice["seed"]) == ("b", "a", 3, 100)
    assert choice["mean_returns"] == pytest.approx({"a": 812.0, "b": 800.0, "c": 991.0})
    half = 4.302653 * 2 / math.sqrt(3)
    assert choice["margin"] == pytest.approx([12.0, 12.0 - half, 12.0 + half], rel=1e-5)
    assert json.loads(json.dumps(choice)) == choice


def test_of_equal_attacks_the_first_of_the_suite_is_taken() -> None:
    assert chosen({"b": [800.0, 900.0], "a": [900.0, 800.0]})["attack"] == "b"
    assert chosen({"a": [800.0, 900.0], "b": [900.0, 800.0]})["attack"] == "a"
    alone = chosen({"a": [800.0, 900.0]})
    assert alone["attack"] == "a"
    assert "margin" not in alone


@pytest.mark.parametrize("flag", ["nan-action", "nan-observation", "unstable-physics", "zero-gradient;nan-action"])
def test_an_attack_whose_episodes_broke_off_is_passed_over(flag: str) -> None:
    choice = chosen({"a": [800.0, 900.0], "b": [100.0, 100.0]}, {"b": flag})
    assert (choice["attack"], choice["passed_over"]) == ("a", ["b"])
    assert choice["mean_returns"]["b"] == 100.0


def test_other_flags_and_flags_of_all_do_not_decide() -> None:
    assert chosen({"a": [800.0, 900.0], "b": [100.0, 100.0]}, {"b": "zero-gradient"})["attack"] == "b"
    both = chosen({"a": [800.0, 900.0], "b": [100.0, 100.0]}, {"a": "nan-action", "b": "nan-action"})
    assert (both["attack"], both["passed_over"]) == ("b", [])


def test_a_missing_return_is_never_the_lowest() -> None:
    choice = chosen({"a": [800.0, 900.0], "b": [100.0, math.nan]}, {"a": "nan-action", "b": "nan-action"})
    assert choice["attack"] == "a"
    assert choice["mean_returns"] == {"a": 850.0, "b": None}


def test_the_minimum_is_too_low_and_what_it_chose_is_not() -> None:
    """Six attacks of one true mean, 1000, with episodes spread by 100 and ten of them: no attack is the worst.

    The least of six means lies 1.267 · 100/√10 = 40 below on average; the same attack on fresh episodes does not.
    """
    rng = np.random.default_rng(0)
    minima, again = [], []
    for _ in range(150):
        drawn = rng.normal(1000, 100, (2, 6, 10))
        choice = chosen({str(place): values.tolist() for place, values in enumerate(drawn[0])})
        minima.append(drawn[0].mean(axis=1).min())
        again.append(drawn[1][int(choice["attack"])].mean())
        assert choice["mean_returns"][choice["attack"]] == pytest.approx(minima[-1])
    error = 100 / math.sqrt(10 * 150)
    assert np.mean(minima) == pytest.approx(1000 - 1.267 * 100 / math.sqrt(10), abs=4 * error)
    assert np.mean(again) == pytest.approx(1000, abs=4 * error)
    assert np.mean(minima) < 1000 - 8 * error


def test_the_suite_takes_in_what_is_named_beside_it_but_not_what_stands_apart() -> None:
    named = ["random", "pgd@2+5", "oracle(candidates=16)", "adversary:a@b.model", "pgd", "none", WORST]
    cells = [Cell(attack=name, eps=0.1 * (name != "none")) for name in named]
    assert worst.suite_of(cells, ["fgsm", "pgd"]) == ["fgsm", "pgd", "random", "adversary:a@b.model"]


def test_the_worst_rows_are_those_of_the_chosen_attack_on_fresh_episodes(runs: Path, shell: Shell) -> None:
    assert shell("attack", "--attack", "worst", "--attack", "random", *FEW, runs, "--seed", 7).code == 0
    folder = runs / RUN
    table = reports.read(folder / "results.csv")
    assert table.groupby("attack").size().to_dict() == dict.fromkeys([*SUITE, "random", WORST], 3) | {"none": 6}
    (choice,) = recorded(folder)
    means = table[~table["attack"].isin(["none", WORST])].groupby("attack")["return"].mean()
    assert choice["attack"] == means.idxmin()
    assert choice["mean_returns"] == pytest.approx(means.to_dict())
    assert sorted(choice["mean_returns"]) == sorted([*SUITE, "random"])
    again = table[table["attack"] == WORST]
    fresh = [held_out(7) + number for number in range(3)]
    assert (again["episode"].tolist(), again["eval_seed"].tolist()) == ([0, 1, 2], fresh)
    planned = plan_episodes([Cell(attack=choice["attack"], eps=0.2)], 3, held_out(7))
    same = evaluate_chunk(load(folder / "policy.safetensors"), Conditions(env_id="Hopper-v4"), tuple(planned))
    assert again["return"].tolist() == same["return"].tolist()
    clean = table.loc[table["attack"] == "none", "eval_seed"]
    assert clean.tolist() == [7, 8, 9, *fresh]


def test_every_perturbed_cell_has_its_own_worst_and_clean_partners(runs: Path, shell: Shell) -> None:
    command = ("perturb", "--mass", "0.5,1.5", "--attack", "worst", *FEW, runs)
    assert shell(*command).code == 0
    folder = runs / RUN
    table = reports.read(folder / "results.csv")
    world = ["perturbation", "factor"]
    again = table[table["attack"] == WORST]
    assert again.groupby(world).size().tolist() == [3, 3, 3]
    assert table[table["attack"] == "none"].groupby(world).size().tolist() == [6, 6, 6]
    choices = {(one["perturbation"], one["factor"]): one["attack"] for one in recorded(folder)}
    tried = table[table["attack"].isin(SUITE)]
    assert choices == tried.groupby([*world, "attack"])["return"].mean().unstack().idxmin(axis=1).to_dict()


def test_whatever_was_interrupted_goes_on_to_the_same_table(runs: Path, shell: Shell, tmp_path: Path) -> None:
    """Killed in the first stage, when the choice is told, when the second stage is stored, and when its end is told."""
    command = ("attack", "--attack", "worst", *FEW, runs)
    assert shell(*command, "--out", "straight").code == 0
    expected = Path("straight/results.csv").read_bytes()
    for rename in (2, 4, 5, 6):  # three chunks, the choice, a chunk, the end
        out = tmp_path / f"killed-{rename}"
        run_killed_at(rename, *command, "--out", out, cwd=tmp_path, before=SMALL)
        assert ((out / "results.csv").read_bytes() == expected) == (rename == 6)
        assert shell(*command, "--out", out, "--resume").code == 0
        assert (out / "results.csv").read_bytes() == expected, rename
        assert recorded(out) == recorded(Path("straight"))


def test_rows_of_an_earlier_choice_are_gone_before_a_new_one_is_told(runs: Path, shell: Shell, tmp_path: Path) -> None:
    """Otherwise a command that is killed while it replaces them leaves rows of two attacks under one name."""
    command, out = ("attack", "--attack", "worst", *FEW, runs), tmp_path / "again"
    shell(*command, "--out", out)
    expected = (out / "results.csv").read_bytes()
    # Three chunks, the rows taken out, the choice told.
    run_killed_at(6, *command, "--out", out, cwd=tmp_path, before=SMALL)
    assert WORST not in set(reports.read(out / "results.csv")["attack"])
    assert [run.get("unfinished") for run in json.loads((out / "results.json").read_text())["runs"]] == [None, True]
    assert shell(*command, "--out", out, "--resume").code == 0
    assert (out / "results.csv").read_bytes() == expected


def test_rows_of_another_choice_are_measured_again(runs: Path, shell: Shell) -> None:
    """Their key is the same, so only the JSON beside them tells whose they are."""
    command = ("attack", "--attack", "worst", *FEW[:-2], "--runs", runs, "--resume")
    shell(*command)
    results = runs / RUN / "results.csv"
    expected, path = results.read_bytes(), results.with_suffix(".json")
    assert "worst:" not in shell(*command).err
    content = json.loads(path.read_text())
    content["runs"][-1]["worst"][0]["attack"] = "somebody-elses"
    path.write_text(json.dumps(content))
    assert "worst: 3/3" in shell(*command).err
    assert results.read_bytes() == expected
    path.unlink()
    assert "worst: 3/3" in shell(*command).err


def test_a_suite_that_the_policy_cannot_serve_is_told(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "silent_of_test_worst.py").write_text(
        "import torch, attacks\n"
        "def still():\n"
        "    return attacks.Target(policy=lambda obs: torch.zeros(len(obs), 3), obs_scale={'raw': torch.ones(11)})\n"
    )
    call = ("attack", "silent_of_test_worst:still", "--env", "Hopper-v4", "--unit", "raw", "--episodes", 1)
    result = shell(*call, "--eps", "0.1", "--attack", "worst", "--out", "no")
    assert result.code == 2
    assert result.err.splitlines()[-1] == (
        "microbench: worst has no attack to choose from; name one that this policy can serve beside it."
    )
    result = shell(*call, "--eps", "0.1", "--attack", "worst", "--attack", "random", "--out", "yes", "--workers", 1)
    assert result.code == 0
    assert recorded(Path("yes"))[0]["mean_returns"].keys() == {"random"}
