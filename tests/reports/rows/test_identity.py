"""What identifies an episode: rows of one episode count once, whoever measured it and whatever it was called."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import reports
from reports.rows.identity import keys_of, once
from reports.rows.packing import packed, unpacked
from reports.rows.parsing import ALWAYS
from reports.rows.schema import KEY, check
from reports.study.summary import study_of, summarize
from tests.reports.toys import episodes, row, table

COMMANDS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=5)


def command(first: int, n: int) -> list[dict[str, object]]:
    """What a command with `--seed first --episodes n` writes; the outcome follows from the seed of the episode."""
    rows = []
    for attack, eps, loss in (("none", 0.0, 0.0), ("pgd", 0.1, 20.0)):
        for number in range(n):
            score = 60.0 + (first + number) % 7 - loss
            rows.append(row(attack=attack, eps=eps, episode=number, eval_seed=first + number, score=score))
    return rows


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    return summarize(frame)


@settings(deadline=None, max_examples=40)
@given(COMMANDS)
def test_any_commands_give_the_numbers_of_one_over_the_union_of_their_episodes(commands: list[tuple[int, int]]) -> None:
    seeds = sorted({first + number for first, n in commands for number in range(n)})
    union = [one for seed in seeds for one in command(seed, 1)]
    several = [one for first, n in commands for one in command(first, n)]
    assert_frame_equal(summarize(table(several)), summarize(table(union)))


def test_neighbouring_seeds_count_an_episode_once_and_say_it() -> None:
    """Ten episodes from seed 0 and ten from seed 1 are eleven episodes; the smaller n made intervals too short."""
    both = table(command(0, 10), command(1, 10))
    summary = study_of(both)
    assert summary.summary["n"].tolist() == [11, 11]
    assert (summary.repeats.rows, summary.repeats.disagreeing) == (18, 0)
    assert any("18 rows repeat an episode of another row" in note for note in reports.notes(both))
    assert not any("rows repeat an episode" in note for note in reports.notes(table(command(0, 10))))


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(20)), st.booleans())
def test_the_order_of_rows_decides_nothing_even_where_they_disagree(order: list[int], disagree: bool) -> None:
    both = table(episodes([60.0 + k for k in range(10)]), episodes([61.0 + k + disagree for k in range(10)]))
    both["eval_seed"] = [*range(10), *range(1, 11)]
    assert_frame_equal(summarize(both.iloc[order].reset_index(drop=True)), summarize(both))
    assert study_of(both).repeats.disagreeing == (9 if disagree else 0)


def test_rows_that_disagree_about_an_episode_are_told() -> None:
    frame = table(episodes([60.0, 61.0]), episodes([60.0, 99.0], train_seed=0))
    frame["episode"] = [0, 1, 2, 3]
    assert any("1 episodes were evaluated twice with different outcomes" in note for note in reports.notes(frame))


def test_merging_a_file_with_itself_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    reports.write(table(command(0, 10)), path, {})
    alone, twice = reports.load_study([path]), reports.load_study([path, path])
    assert_frame_equal(twice.summary, alone.summary)
    assert reports.markdown(twice) == reports.markdown(alone)
    assert_frame_equal(reports.load_many([path, path]), reports.load_many([path]))


def test_files_of_overlapping_commands_are_reported_together(tmp_path: Path) -> None:
    paths = [tmp_path / f"{first}.csv" for first in (0, 1, 5)]
    for path, first in zip(paths, (0, 1, 5), strict=True):
        reports.write(table(command(first, 10)), path, {})
    assert len(reports.load_many(paths)) == 2 * 15
    assert reports.load_study(paths).summary["n"].tolist() == [15, 15]


@pytest.mark.parametrize("labels", [{"algorithm": "sac"}, {"dataset": ""}, {"train_seed": None}, {"episode": 9}])
def test_labels_of_a_policy_file_do_not_make_another_policy(labels: dict[str, object]) -> None:
    """Of two sets of labels of one file the fuller one stays."""
    own = episodes([60.0, 61.0])
    other = episodes([60.0, 61.0, 70.0], **{"checkpoint": "a" * 64} | labels)
    summary = summarize(table(own, other))
    assert (summary["n"].tolist(), summary["seeds"].tolist()) == ([3], [1])
    assert summary["policy"].tolist() == ["micro"]


def test_a_unit_counts_only_where_something_is_measured_in_it() -> None:
    """Mass and dropout are the same experiment beside any unit; noisy sensors, and any attack, are not."""
    worlds = [("mass", 1.5, 1.0), ("sensor-dropout", 0.1, 0.0), ("sensor-noise", 0.1, 0.0), ("none", 1.0, 1.0)]
    rows = [
        row(perturbation=name, factor=factor, nominal=nominal, unit=unit, norm=norm)
        for name, factor, nominal in worlds
        for unit, norm in (("dataset-std", "linf"), ("raw", "l2"))
    ]
    summary = summarize(table(rows))
    assert summary.groupby("perturbation").size().to_dict() == {
        **{"mass": 1, "none": 1, "sensor-dropout": 1},
        "sensor-noise": 2,
    }
    noisy = summary[summary["perturbation"] == "sensor-noise"]
    assert (noisy["unit"].tolist(), noisy["norm"].tolist()) == (["dataset-std", "raw"], ["", ""])


def test_a_composition_is_measured_in_a_unit_if_one_of_its_parts_is() -> None:
    texts = ["mass=2,friction", "sensor-noise=0.1,mass", "mass=2,sensor-bias", "mine:sway", "compat:rrls-mass"]
    keys = keys_of(table([row(perturbation=text, factor=2.0) for text in texts]))
    assert keys["unit"].tolist() == ["", "dataset-std", "dataset-std", "dataset-std", ""]
    assert set(keys["norm"]) == {""}


@pytest.mark.parametrize("column", [name for name in KEY if name not in ("unit", "norm")])
def test_every_part_of_the_key_makes_another_episode(column: str) -> None:
    base = row(attack="pgd", eps=0.1, perturbation="mass", factor=2.0)
    other = base | {column: {"eps": 0.2, "factor": 3.0, "eval_seed": 7}.get(column, "other")}
    assert keys_of(table([base, other])).duplicated().sum() == 0
    for name in ("unit", "norm"):
        assert keys_of(table([base, base | {name: "other"}])).duplicated().sum() == 0


def test_keys_of_packed_rows_and_of_keys_are_the_same_keys() -> None:
    frame = table(command(0, 3), [row(checkpoint="", algorithm="x", perturbation="sensor-bias", factor=0.1)])
    keys = keys_of(frame).astype(object)
    assert_frame_equal(keys_of(packed(frame)).astype(object), keys)
    assert_frame_equal(keys_of(keys).astype(object), keys)


def test_a_table_of_eighteen_columns_is_the_same_table() -> None:
    frame = table(command(0, 3))
    assert_frame_equal(check(frame[list(ALWAYS)]), frame)


def test_rows_of_two_contents_of_one_file_are_two_conditions_that_can_be_told_apart() -> None:
    text = 'min-q(critic="c.safetensors")@thigh_joint'
    shas = ["1" * 64, "2" * 64, ""]
    rows = [
        one
        for attack in ("adversary:pusher.safetensors", text)
        for sha, score in zip(shas, (50.0, 30.0, 10.0), strict=True)
        for one in episodes([score, score], attack=attack, eps=0.1, attack_files=sha)
    ]
    summary = summarize(table(episodes([60.0, 60.0]), rows))
    attacked = summary[summary["attack"] != "none"]
    assert dict(zip(attacked["attack"], attacked["mean"], strict=True)) == {
        "adversary:pusher.safetensors#11111111": 50.0,
        "adversary:pusher.safetensors#22222222": 30.0,
        "adversary:pusher.safetensors#unknown": 10.0,
        'min-q(critic="c.safetensors")#11111111@thigh_joint': 50.0,
        'min-q(critic="c.safetensors")#22222222@thigh_joint': 30.0,
        'min-q(critic="c.safetensors")#unknown@thigh_joint': 10.0,
    }
    assert attacked["n"].tolist() == [2] * 6


def test_one_content_of_a_file_leaves_its_name_alone() -> None:
    rows = episodes([50.0], attack="adversary:a.pt", eps=0.1, attack_files="1" * 64)
    assert summarize(table(rows))["attack"].tolist() == ["adversary:a.pt"]


def test_two_contents_of_a_perturbations_module_are_two_conditions() -> None:
    rows = [row(perturbation="mine:sway", factor=2.0, perturbation_files=sha * 64) for sha in "12"]
    assert summarize(table(rows))["perturbation"].tolist() == ["mine:sway#11111111", "mine:sway#22222222"]


def test_different_recipes_are_different_policies() -> None:
    """Two training seeds of one recipe pool; another recipe, and one that nobody knows, do not."""
    runs = [("5" * 16, 0), ("5" * 16, 1), ("6" * 16, 2), ("", 3)]
    rows = [one for recipe, seed in runs for one in episodes([50.0 + seed], recipe=recipe, train_seed=seed)]
    summary = summarize(table(rows))
    assert dict(zip(summary["policy"], summary["seeds"], strict=True)) == {
        "micro, recipe 55555555": 2,
        "micro, recipe 66666666": 1,
        "micro, recipe unknown": 1,
    }


def test_of_rows_that_repeat_an_episode_the_flagged_one_stays() -> None:
    frame = table([row(episode=3), row(episode=4, flags="zero-gradient"), row(episode=5)])
    kept, repeats = once(frame)
    assert (kept["flags"].tolist(), repeats.rows, repeats.disagreeing) == (["zero-gradient"], 2, 0)
    again, _ = once(packed(frame))
    assert_frame_equal(unpacked(again), kept)


def test_missing_returns_of_one_episode_agree() -> None:
    lost = {"return": np.nan, "score": np.nan, "flags": "nan-action"}
    frame = table([row(**lost), row(**lost | {"episode": 1})])
    assert study_of(frame).repeats.disagreeing == 0


def test_policies_of_two_recipes_are_compared_each_with_its_own() -> None:
    """Beta 0.1 and beta 5 are no two runs of one policy: a gain of one must not hide a loss of the other."""
    sides = [
        table(
            episodes([50.0 + k for k in range(10)], recipe="1" * 16),
            episodes([50.0 + k + gain for k in range(10)], recipe="2" * 16, train_seed=1),
        )
        for gain in (0.0, -5.0)
    ]
    comparison = reports.compare_results(sides[0], sides[1])
    assert dict(zip(comparison.table["condition"], comparison.table["difference"], strict=True)) == {
        "micro (recipe 11111111), clean": 0.0,
        "micro (recipe 22222222), clean": -5.0,
    }
