"""The worst point of an uncertainty set: where it is looked for, on which episodes, and what its number is worth."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import reports
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, HELD_OUT, Cell, Episode, held_out, plan_episodes
from microbench.studies.search import ASIDE, Box, box_of, cost, searched
from microbench.studies.stages import Stage, Stages
from microbench.studies.sweeps import parse_sweep
from reports.rows.results import RESULTS
from reports.rows.sidecars import complaints
from reports.study.grids import parts
from tests.microbench.forked import run_killed_at
from tests.microbench.small_run import Shell, write_policy
from tests.reports.toys import row, table

RUN = "hopper_tiny-micro-quick-s0"
SMALL = ("perturb", "--mass", "0.8:1.2", "--friction", "0.5:1.5", "--search", "--points", "7", "--episodes", "2")
Returns = Callable[[dict[str, float], Cell, int], float]
"""Factors by name, cell and seed → the return of an episode."""


def box(*texts: str, points: int = 40) -> Box:
    return box_of([parse_sweep(text) for text in texts or ("mass=0.8:1.2", "friction=0.5:1.5")], points)


def corner(factors: dict[str, float], cell: Cell, seed: int) -> float:
    """Heavy and slippery is worst: 1000 in the best corner, 200 in the worst."""
    heavy, slippery = (factors["mass"] - 0.8) / 0.4, 1.5 - factors["friction"]
    return 1000 - 400 * heavy - 400 * slippery


def inside(factors: dict[str, float], cell: Cell, seed: int) -> float:
    """A hole of 800 about mass 0.95 and friction 1.2; under attack it lies at mass 1.05."""
    at = 0.95 if cell.attack == "none" else 1.05
    return 1000 - 800 * math.exp(-(((factors["mass"] - at) / 0.06) ** 2) - ((factors["friction"] - 1.2) / 0.15) ** 2)


def run(stages: Stages, returns: Returns, flags: Callable[[Cell], str] = lambda _: "") -> tuple[list[Stage], Any]:
    """The stages on made-up episodes, and what they record in the end; clean episodes return 1000."""

    def episode_row(episode: Episode) -> dict[str, object]:
        cell, factors = episode.cell, dict[str, float]()
        if cell.perturbation != "none":
            factors = dict(parts(cell.perturbation, cell.factor))
        value = returns(factors, cell, episode.seed) if factors else 1000.0
        condition = {name: getattr(cell, name) for name in ("attack", "eps", "perturbation", "factor")}
        place = {"episode": episode.number, "eval_seed": episode.seed, "length": 100, "flags": flags(cell)}
        return row(**condition, **place, **{"return": value, "score": value / 10})

    ran, rows = list[Stage](), None
    while True:
        try:
            stage = next(stages) if rows is None else stages.send(rows)
        except StopIteration as ended:
            return ran, ended.value
        ran.append(stage)
        rows = table([episode_row(episode) for episode in stage.episodes])


def search(
    returns: Returns, where: Box | None = None, under: tuple[Cell, ...] = (CLEAN,), n: int = 3, **how: Any
) -> tuple[list[Stage], Any]:
    return run(searched(where or box(), under, n, how.pop("seed", 0), lambda _: []), returns, **how)


@pytest.mark.parametrize("returns", [corner, inside])
def test_the_point_found_does_98_percent_of_the_damage_of_a_fine_grid(returns: Returns) -> None:
    _, metadata = search(returns)
    grid = itertools.product(np.linspace(0.8, 1.2, 81), np.linspace(0.5, 1.5, 81))
    lowest = min(returns({"mass": mass, "friction": friction}, CLEAN, 0) for mass, friction in grid)
    (one,) = metadata["searched"]
    assert 1000 - one["fresh"]["return"][0] >= 0.98 * (1000 - lowest)


def test_a_corner_is_found_to_the_digit() -> None:
    (one,) = search(corner)[1]["searched"]
    assert (one["perturbation"], one["factor"]) == ("mass=1.2,friction", 0.5)
    assert one["fresh"]["return"][0] == pytest.approx(200)


def test_points_are_chosen_on_some_episodes_apart_from_the_results_and_measured_on_others() -> None:
    stages, metadata = search(inside, n=3, seed=7)
    *choosing, fresh = stages
    assert {stage.table for stage in choosing} == {ASIDE}
    assert {episode.seed for stage in choosing for episode in stage.episodes} == {7, 8, 9}
    assert fresh.table == RESULTS
    (one,) = metadata["searched"]
    chosen = Cell(perturbation=one["perturbation"], factor=one["factor"])
    first = held_out(7)
    assert [(episode.cell, episode.seed) for episode in fresh.episodes] == [
        (cell, first + number) for cell in (CLEAN, chosen) for number in range(3)
    ]
    assert (one["seed"], one["held_out"], one["episodes"]) == (7, first, 3)
    assert "fresh" not in fresh.metadata["searched"][0]  # the choice is recorded before its rows are there


def test_what_was_searched_is_recorded_with_its_cost_and_its_curve() -> None:
    stages, metadata = search(inside, box(points=30), n=2)
    (one,) = metadata["searched"]
    tried = {(episode.cell.perturbation, episode.cell.factor) for stage in stages[:-1] for episode in stage.episodes}
    assert len(tried) == one["points"] == len(one["tried"]) == 30
    assert {(point["perturbation"], point["factor"]) for point in one["tried"]} == tried
    assert one["steps"] == 30 * 2 * 100
    assert one["box"] == {"mass": [0.8, 1.2], "friction": [0.5, 1.5]}
    numbers, steps, lowest = zip(*one["curve"], strict=True)
    assert numbers[0] == 1
    assert numbers[-1] == 30
    assert list(steps) == [200 * number for number in numbers]
    assert list(lowest) == sorted(lowest, reverse=True)
    assert lowest[-1] == one["choosing"]["return"][0] == min(point["mean_return"] for point in one["tried"])
    assert complaints({"runs": [json.loads(json.dumps(metadata))]}) == []


def test_every_attack_has_a_search_of_its_own_side_by_side() -> None:
    attacked = Cell(attack="pgd", eps=0.1)
    stages, metadata = search(inside, under=(CLEAN, attacked))
    assert [(one["attack"], one["eps"]) for one in metadata["searched"]] == [("none", 0.0), ("pgd", 0.1)]
    masses = [dict(parts(one["perturbation"], one["factor"]))["mass"] for one in metadata["searched"]]
    assert masses == pytest.approx([0.95, 1.05], abs=0.02)
    assert {episode.cell.attack for episode in stages[1].episodes} == {"none", "pgd"}
    last = {episode.cell for episode in stages[-1].episodes}
    assert len(last) == 4
    assert {CLEAN, attacked} < last
    alone = search(inside)[1]["searched"][0]
    assert metadata["searched"][0]["tried"] == alone["tried"]


def test_the_fresh_mean_owes_nothing_to_the_choice() -> None:
    """A world in which no point is worse than another: every mean that chooses is too low, no fresh one is.

    Episodes spread by 100 about 1000, of which each point has four: the least of 16 such means lies 1.766 · 50 = 88
    below (order statistics of the normal distribution); over 40 searches the standard error of a mean of four is 7.9.
    """
    choosing, fresh = [], []
    for repeat in range(40):
        rng = np.random.default_rng(repeat)

        def noise(factors: dict[str, float], cell: Cell, seed: int, rng: np.random.Generator = rng) -> float:
            return float(1000 + 100 * rng.standard_normal())

        (one,) = search(noise, box(points=16), n=4)[1]["searched"]
        choosing.append(one["choosing"]["return"][0])
        fresh.append(one["fresh"]["return"][0])
    error = 50 / math.sqrt(40)
    assert np.mean(choosing) == pytest.approx(1000 - 1.766 * 50, abs=4 * error)
    assert np.mean(fresh) == pytest.approx(1000, abs=4 * error)
    assert np.mean(choosing) < 1000 - 8 * error


def test_points_at_which_episodes_broke_off_are_passed_over_unless_all_did() -> None:
    """What an unstable simulation earns says nothing of the policy."""
    heavy = lambda cell: "unstable-physics" if cell.perturbation.startswith("mass=1.2") else ""  # noqa: E731
    (one,) = search(corner, flags=heavy)[1]["searched"]
    assert not one["perturbation"].startswith("mass=1.2")
    assert one["passed_over"] >= 2
    (all_of_them,) = search(corner, flags=lambda _: "unstable-physics")[1]["searched"]
    assert (all_of_them["perturbation"], all_of_them["factor"]) == ("mass=1.2,friction", 0.5)


def test_the_worst_constant_shift_of_the_actions_is_found_within_its_budget() -> None:
    """Each of three actuators is shifted by at most 0.2 half ranges; the worst shift has two of them at an end."""

    def returns(factors: dict[str, float], cell: Cell, seed: int) -> float:
        hip, knee, foot = (factors[f"action-bias@{number}"] for number in range(3))
        return 1000 - 1000 * (hip - knee) - 5000 * (0.04 - (foot - 0.1) ** 2)

    shifts = box(*(f"action-bias@{number}=-0.2:0.2" for number in range(3)))
    stages, metadata = search(returns, shifts)
    (one,) = metadata["searched"]
    lowest = 1000 - 1000 * 0.4 - 5000 * 0.04
    assert 1000 - one["fresh"]["return"][0] >= 0.98 * (1000 - lowest)
    cells = {episode.cell for stage in stages[:-1] for episode in stage.episodes}
    assert max(abs(shift) for cell in cells for _, shift in parts(cell.perturbation, cell.factor)) <= 0.2


def test_shifted_actions_are_proven_to_act(tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy.safetensors")
    cells = [
        CLEAN,
        Cell(perturbation="action-bias@thigh_joint", factor=0.5),
        Cell(perturbation="action-bias", factor=0),
    ]
    rows = evaluate_chunk(policy, Conditions(env_id="Hopper-v4"), tuple(plan_episodes(cells, 1, 0)))
    assert not rows["flags"].str.contains("no-op-cell").any()
    assert rows["nominal"].tolist() == [1, 0, 0]
    clean, moved, same = rows["return"]
    assert moved != clean
    assert same == clean


def test_a_single_factor_stays_as_it_is_and_factors_have_four_digits_inside_the_box() -> None:
    stages, metadata = search(inside, box("mass=0.8123456:1.2", "friction=0.7", "gravity=1:1.5", points=12))
    tried = [dict(parts(one["perturbation"], one["factor"])) for one in metadata["searched"][0]["tried"]]
    assert len(tried) == 12
    assert {point["friction"] for point in tried} == {0.7}
    assert all(0.8123456 <= point["mass"] <= 1.2 and 1 <= point["gravity"] <= 1.5 for point in tried)
    inner = [point["mass"] for point in tried if point["mass"] != 0.8123456]
    assert all(float(f"{mass:.4g}") == mass for mass in inner)
    assert len(stages) > 2


def test_a_box_with_few_different_points_ends_the_search() -> None:
    (one,) = search(lambda f, cell, seed: 1000 - f["mass"], box("mass=1:1.002", points=40))[1]["searched"]
    assert one["points"] == 3  # 1, 1.001 and 1.002 are all that four digits tell apart
    assert one["factor"] == 1.002


@pytest.mark.parametrize(
    ("texts", "wrong"),
    [
        (["mass=0.8,1,1.2"], "write it as LOW:HIGH"),
        (["mass=0.8:1.2:5"], "write it as LOW:HIGH"),
        (["mass=1.2"], "no range to look in"),
        (["latency=0:2"], "whole number"),
        (["mas=0.8:1.2"], "did you mean 'mass'"),
        (["mass=0.8:1.2", "mass=1:2"], "twice"),
        (["mass=-1:1"], "greater than 0, not -1"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_runs(texts: list[str], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        box(*texts)


def test_seeds_at_which_choosing_would_meet_measuring_are_refused() -> None:
    with pytest.raises(UserError, match="--search chooses on episodes below"):
        next(searched(box(), [CLEAN], 3, HELD_OUT, lambda _: []))


def test_the_cost_that_is_said_is_what_is_run() -> None:
    under = (CLEAN, Cell(attack="pgd", eps=0.1))
    stages, _ = search(inside, box(points=25), under=under, n=2)
    choosing, fresh = sum(len(stage.episodes) for stage in stages[:-1]), len(stages[-1].episodes)
    assert f"{choosing} episodes that choose, and {fresh} fresh ones" in cost(box(points=25), 2, 2)


def test_the_command_measures_the_chosen_point_alone_and_prints_both_numbers(runs: Path, shell: Shell) -> None:
    result = shell(*SMALL, "--attack", "random", "--eps", "0.1", "--workers", "1", "--runs", runs)
    assert result.code == 0
    assert "7 points of mass × friction under each of 2 conditions, 2 episodes each: 28 episodes" in result.err
    folder = runs / RUN
    measured, tried = reports.read(folder / "results.csv"), reports.read(folder / ASIDE)
    assert set(measured["eval_seed"]) == {held_out(0), held_out(0) + 1}
    assert len(measured) == 8
    assert len(tried) == 28
    newest = json.loads((folder / "results.json").read_text())["runs"][-1]
    for one in newest["searched"]:
        means = tried[tried["attack"] == one["attack"]].groupby(["perturbation", "factor"])["return"].mean()
        assert means.idxmin() == (one["perturbation"], one["factor"])
        assert one["choosing"]["return"][0] == pytest.approx(means.min())
        rows = measured[(measured["attack"] == one["attack"]) & (measured["perturbation"] == one["perturbation"])]
        assert one["fresh"]["return"][0] == pytest.approx(rows["return"].mean())
    effects = {(one["perturbation"], one["factor"]) for one in newest["effects"]}
    assert effects == {(one["perturbation"], one["factor"]) for one in newest["searched"]}
    page = (folder / "report" / "index.html").read_text()
    for text in (result.out, (folder / "report" / "table.md").read_text(), page):
        assert "Worst points that were searched for" in text
        assert "mass 0.8 to 1.2, friction 0.5 to 1.5" in text


def without_time(folder: Path) -> list[dict[str, Any]]:
    newest = json.loads((folder / "results.json").read_text())["runs"][-1]
    return [{name: value for name, value in one.items() if name != "seconds"} for one in newest["searched"]]


@pytest.mark.usefixtures("no_report")
def test_an_interrupted_search_goes_on_to_the_same_bytes(runs: Path, shell: Shell, tmp_path: Path) -> None:
    command = (*SMALL, "--workers", "1", "--quiet", "--runs", runs)
    assert shell(*command, "--out", "straight").code == 0
    for rename in (2, 4):  # in the second batch, in the fresh rows
        out = tmp_path / f"killed-{rename}"
        run_killed_at(rename, *command, "--out", out, cwd=tmp_path)
        assert shell(*command, "--out", out, "--resume").code == 0
        for name in (RESULTS, ASIDE):
            assert (out / name).read_bytes() == (Path("straight") / name).read_bytes(), (rename, name)
        assert without_time(out) == without_time(Path("straight"))


@pytest.mark.usefixtures("no_report", "workers_here")
def test_the_number_of_workers_changes_nothing(runs: Path, shell: Shell) -> None:
    frames: list[pd.DataFrame] = []
    for workers in (1, 3):
        command = (*SMALL, "--episodes", "6", "--workers", workers, "--quiet", "--runs", runs)
        assert shell(*command, "--out", f"with-{workers}").code == 0
        order = ["perturbation", "factor", "eval_seed"]
        frames.append(reports.read(Path(f"with-{workers}") / ASIDE).sort_values(order, ignore_index=True))
    pd.testing.assert_frame_equal(frames[0], frames[1])
    assert without_time(Path("with-1")) == without_time(Path("with-3"))


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--mass", "0.8:1.2", "--search", "--samples", "4"), "leave --grid and --samples out"),
        (("--mass", "0.8:1.2", "--search", "--grid"), "leave --grid and --samples out"),
        (("--mass", "0.8:1.2", "--points", "4"), "--points bounds the search of --search"),
        (("--mass", "0.8:1.2", "--search", "--attack", "worst", "--eps", "0.1"), "worst has no say"),
    ],
)
def test_options_that_contradict_a_search_are_one_sentence(
    words: tuple[str, ...], wrong: str, runs: Path, shell: Shell
) -> None:
    result = shell("perturb", *words, "--runs", runs)
    assert result.is_one_sentence
    assert wrong in result.err
