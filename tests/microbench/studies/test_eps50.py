"""The budget that halves the score: found where it is known, told as it is, and the same after an interruption."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attacks
import reports
from microbench.evaluation.plan import CLEAN, HELD_OUT, Cell, Episode, held_out, plan_episodes
from microbench.studies.eps50 import halved, sentence
from microbench.studies.stages import Stage, Stages, at_once
from microbench.studies.worst import worst_of
from reports.study.worst import WORST
from tests.microbench.forked import run_killed_at
from tests.microbench.small_run import Shell
from tests.reports.toys import row, table

RUN = "hopper_tiny-micro-quick-s0"
HALF = {"pgd": 0.3, "fgsm": 0.6, "random": 1000.0}
"""Where the made-up returns fall to half: linearly, so that straight lines between budgets are exact."""


def made_up(episode: Episode, level: float = 1000.0) -> dict[str, object]:
    cell = episode.cell
    clean = level + 100 * np.random.default_rng(episode.seed).normal()
    value = clean * (1 - 0.5 * cell.eps / HALF.get(cell.attack, np.inf))
    condition = {"attack": cell.shown, "eps": cell.eps, "episode": episode.number, "eval_seed": episode.seed}
    return row(**condition, **{"return": value, "score": value / 10})


def run(stages: Stages, level: float = 1000.0) -> tuple[list[Stage], dict[str, Any]]:
    """The stages on made-up episodes, clean ones about a level, and what they tell in the end."""
    ran: list[Stage] = []
    rows: pd.DataFrame | None = None
    while True:
        try:
            stage = next(stages) if rows is None else stages.send(rows)
        except StopIteration as ended:
            return ran, ended.value
        ran.append(stage)
        rows = table([made_up(episode, level) for episode in stage.episodes])


def search(
    names: list[str], first: float = 0.1, most: int = 12, n: int = 10, level: float = 1000.0
) -> tuple[list[Stage], dict[str, Any]]:
    def measured(cells: Any) -> Stages:
        if any(cell.attack == WORST for cell in cells):
            return worst_of(cells, ["fgsm", "pgd"], n, 0)
        return at_once(plan_episodes(cells, n, 0))

    return run(halved([CLEAN, *(Cell(attack=name, eps=first) for name in names)], measured, most), level)


@pytest.mark.parametrize("first", [0.001, 0.1, 5.0])
def test_it_is_found_where_the_return_falls_linearly(first: float) -> None:
    """All episodes halve at the same budget, so the interval has no width."""
    _, metadata = search(["pgd"], first, most=25)
    (answer,) = metadata["eps50"]
    assert (answer["eps50"], answer["low"], answer["high"]) == pytest.approx((0.3, 0.3, 0.3))
    assert answer["between"][0] <= 0.3 <= answer["between"][1]
    assert (answer["attack"], answer["unit"], answer["norm"], answer["n"]) == ("pgd", "dataset-std", "linf", 10)
    assert answer["why"] == "resolved"


def test_attacks_are_searched_side_by_side_and_each_ends_by_itself() -> None:
    stages, metadata = search(["pgd", "fgsm", "random"], most=6)
    assert [(one["attack"], one["why"]) for one in metadata["eps50"]] == [
        *(("pgd", "budgets"), ("fgsm", "budgets"), ("random", "not reached"))
    ]
    assert metadata["eps50"][2]["largest"] == pytest.approx(3.2)
    assert [len({episode.cell for episode in stage.episodes}) for stage in stages] == [4, 3, 3, 3, 3, 3]
    clean = [episode for stage in stages for episode in stage.episodes if episode.cell == CLEAN]
    assert len(clean) == 10
    assert metadata["eps50"][0]["eps50"] == pytest.approx(0.3)
    assert metadata["eps50"][1]["eps50"] == pytest.approx(0.6)


def test_the_worst_is_searched_by_its_fresh_episodes_and_all_choices_are_told() -> None:
    stages, metadata = search([WORST])
    (answer,) = metadata["eps50"]
    assert (answer["attack"], answer["eps50"]) == (WORST, pytest.approx(0.3))
    assert {one["attack"] for one in metadata["worst"]} == {"pgd"}
    budgets = [one["eps"] for one in metadata["worst"]]
    assert budgets[:3] == [0.1, 0.2, 0.4]
    assert [stage.title for stage in stages[:4]] == ["episodes", WORST, "episodes", WORST]
    assert [one["eps"] for one in stages[5].metadata["worst"]] == budgets[:3]  # an interrupted search is told whole
    assert all(episode.seed >= HELD_OUT for stage in stages[1::2] for episode in stage.episodes)


def test_what_is_found_is_what_the_report_of_the_rows_says() -> None:
    stages, metadata = search(["fgsm"])
    frame = pd.concat([table([made_up(episode) for episode in stage.episodes]) for stage in stages])
    (row,) = reports.budget_numbers(frame).to_dict("records")
    (answer,) = metadata["eps50"]
    assert (row["eps50"], row["eps50_low"], row["eps50_high"]) == (answer["eps50"], answer["low"], answer["high"])
    assert row["largest"] == answer["largest"]


def test_a_clean_score_that_is_not_positive_ends_the_search_at_once() -> None:
    stages, metadata = search(["pgd"], level=-1000.0)
    (answer,) = metadata["eps50"]
    assert len(stages) == 1
    assert (answer["why"], answer["eps50"], answer["largest"]) == ("no half", None, 0.1)
    assert sentence(answer).startswith("eps50 of pgd: none, because the clean score is not positive")
    json.dumps(metadata, allow_nan=False)


def test_episodes_without_a_return_end_the_search_too() -> None:
    lost = row(attack="pgd", eps=0.1, flags="nan-action") | {"return": math.nan, "score": math.nan}
    stages = halved([CLEAN, Cell(attack="pgd", eps=0.1)], lambda cells: at_once(plan_episodes(cells, 1, 100)), 12)
    next(stages)
    with pytest.raises(StopIteration) as ended:
        stages.send(table([row()], [lost]))
    (answer,) = ended.value.value["eps50"]
    assert sentence(answer) == "eps50 of pgd: none, because no episode has a return under every budget."


ABOUT: dict[str, Any] = {
    **{"attack": "pgd", "unit": "raw", "norm": "l2", "eps50": 0.12345, "low": 0.1, "high": 0.15, "largest": 0.2},
    **{"n": 10, "why": "resolved", "between": (0.12, 0.125)},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "eps50 of pgd: 0.1235 [0.1, 0.15] (raw, l2), between the measured 0.12 and 0.125."),
        ({"high": None}, "eps50 of pgd: 0.1235 [0.1, beyond 0.2] (raw, l2), between the measured 0.12 and 0.125."),
        ({"n": 1}, "eps50 of pgd: 0.1235 without an interval (raw, l2), between the measured 0.12 and 0.125."),
        (
            {"eps50": None},
            "eps50 of pgd: not reached up to eps 0.2 (raw, l2): the mean score stays above half of clean.",
        ),
        ({"why": "no half"}, "eps50 of pgd: none, because the clean score is not positive and has no half."),
    ],
)
def test_it_is_told_in_a_sentence(changes: dict[str, Any], expected: str) -> None:
    assert sentence(ABOUT | changes) == expected


def test_what_would_help_is_told() -> None:
    assert sentence(ABOUT | {"why": "episodes"}).endswith("cannot place it better; more --episodes can.")
    assert sentence(ABOUT | {"why": "budgets"}).endswith("More --budgets would place it better.")


FEW = ("--eps50", "--budgets", 3, "--episodes", 2, "--workers", 1, "--runs")


def test_the_command_prints_stores_and_resumes(runs: Path, shell: Shell, tmp_path: Path) -> None:
    command = ("attack", "--attack", "random", "--attack", "fgsm", *FEW, runs)
    result = shell(*command)
    assert result.code == 0
    folder = runs / RUN
    stored = json.loads((folder / "results.json").read_text())["runs"][0]["eps50"]
    assert [one["attack"] for one in stored] == ["random", "fgsm"]
    assert all(sentence(one) in result.out for one in stored)
    table = reports.read(folder / "results.csv")
    assert table.groupby("attack")["eps"].nunique().to_dict() == {"none": 1, "random": 3, "fgsm": 3}
    assert (table.groupby(["attack", "eps"]).size() == 2).all()
    assert "Curves over eps" in (folder / "report" / "table.md").read_text()
    output = json.loads(shell(*command, "--resume", "--json").out)
    assert output["eps50"] == stored
    straight = (folder / "results.csv").read_bytes()
    run_killed_at(5, *command, "--out", "killed", cwd=tmp_path)
    assert shell(*command, "--out", "killed", "--resume").code == 0
    assert Path("killed/results.csv").read_bytes() == straight


def test_bare_it_is_that_of_the_worst(runs: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacks, "SUITE", ("fgsm", "action-diff"))
    result = shell("attack", *FEW, runs, "--eps", 0.2, "--quiet", "--json")
    output = json.loads(result.out)
    assert [one["attack"] for one in output["eps50"]] == [WORST]
    table = reports.read(runs / RUN / "results.csv")
    assert set(table["attack"]) == {"none", "fgsm", "action-diff", WORST}
    assert table.loc[table["attack"] == WORST, "eps"].nunique() == 3
    assert set(table.loc[table["attack"] == WORST, "eval_seed"]) == {held_out(0), held_out(0) + 1}
