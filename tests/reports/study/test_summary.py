"""From episodes to conditions: levels, paired changes and who is pooled with whom."""

import math

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import reports
from reports.study.summary import prepare, summarize
from tests.reports.toys import episodes, row, table


def only(summary: pd.DataFrame, **values: object) -> pd.Series:
    """The one condition with these values."""
    rows = summary[np.logical_and.reduce([summary[name] == value for name, value in values.items()])]
    assert len(rows) == 1
    return rows.iloc[0]


def test_levels_and_changes_by_hand() -> None:
    """Clean 40, 50, 60; under attack 30, 35, 55: changes -10, -15, -5, mean -10 of 50, that is -20 %."""
    summary = summarize(table(episodes([40.0, 50.0, 60.0]), episodes([30.0, 35.0, 55.0], attack="fgsm", eps=0.1)))
    clean, fgsm = only(summary, block="clean"), only(summary, block="attack")
    assert (clean["mean"], clean["std"], clean["n"], clean["seeds"]) == (50.0, 10.0, 3, 1)
    assert (clean["cvar"], clean["median"], clean["optimality_gap"]) == (40.0, 50.0, 50.0)
    assert math.isnan(clean["change"])
    assert (fgsm["mean"], fgsm["change"], fgsm["change_percent"], fgsm["paired"]) == (40.0, -10.0, -20.0, 3)
    half = 4.302653 * 5 / math.sqrt(3)  # t of two degrees of freedom; the changes spread by 5 and are not skewed
    assert (fgsm["change_low"], fgsm["change_high"]) == pytest.approx((-10 - half, -10 + half))


def test_the_change_uses_common_episodes_only() -> None:
    """The third attacked episode has no clean partner: it is in the mean, not in the change."""
    frame = table(episodes([40.0, 50.0]), episodes([30.0, 40.0, 95.0], attack="fgsm", eps=0.1))
    fgsm = only(summarize(frame), attack="fgsm")
    assert (fgsm["mean"], fgsm["n"], fgsm["change"], fgsm["paired"]) == (55.0, 3, -10.0, 2)
    assert fgsm["change_percent"] == pytest.approx(-100 * 10 / 45)


def test_a_spread_of_scores_is_a_spread() -> None:
    """In the table: equal scores have std 0, wherever they lie."""
    summary = summarize(table(episodes([37.5] * 4)))
    assert summary["std"].tolist() == [0.0]
    assert (summary["low"] == summary["high"]).all()


def test_percent_of_nothing_is_not_given() -> None:
    frame = table(episodes([-1.0, 1.0]), episodes([-3.0, -2.0], attack="fgsm", eps=0.1))
    fgsm = only(summarize(frame), attack="fgsm")
    assert fgsm["change"] == -2.5
    assert math.isnan(fgsm["change_percent"])


def test_the_order_of_rows_changes_nothing() -> None:
    frame = table(
        episodes([40.0, 50.0, 61.0]),
        episodes([41.0, 52.0, 63.0], train_seed=1, checkpoint="b" * 64),
        episodes([30.0, 35.0, 55.0], attack="fgsm", eps=0.1),
        episodes([44.0, 20.0, 21.0], perturbation="mass", factor=0.5),
    )
    shuffled = frame.sample(frac=1.0, random_state=3)
    assert_frame_equal(summarize(shuffled), summarize(frame))


def test_an_interval_belongs_to_its_cell_alone() -> None:
    """More conditions in the file leave the others' intervals as they are."""
    small = table(episodes([40.0, 50.0, 61.0]))
    large = table(episodes([40.0, 50.0, 61.0]), episodes([30.0, 35.0, 55.0], attack="fgsm", eps=0.1))
    columns = ["mean", "low", "high"]
    assert_frame_equal(summarize(small)[columns], summarize(large)[columns].iloc[:1])


def test_conditions_are_sorted_clean_attacks_perturbations_both() -> None:
    frame = table(
        episodes([1.0], attack="fgsm", eps=0.1, perturbation="mass", factor=0.5),
        episodes([1.0], perturbation="mass", factor=0.5),
        episodes([1.0], attack="random", eps=0.1),
        episodes([1.0], attack="fgsm", eps=0.2),
        episodes([1.0], attack="fgsm", eps=0.1),
        episodes([1.0]),
    )
    summary = summarize(frame)
    assert summary["block"].tolist() == ["clean", *["attack"] * 3, "perturbation", "attack and perturbation"]
    assert summary["attack"].tolist() == ["none", "random", "fgsm", "fgsm", "none", "fgsm"]
    assert summary["eps"].tolist() == [0.0, 0.1, 0.1, 0.2, 0.0, 0.1]


def test_clean_episodes_beside_two_budgets_count_once_and_serve_both() -> None:
    frame = table(
        episodes([50.0, 60.0]),
        episodes([50.0, 60.0], unit="raw", norm="l2"),
        episodes([45.0, 55.0], attack="fgsm", eps=0.1),
        episodes([44.0, 54.0], attack="fgsm", eps=0.1, unit="raw", norm="l2"),
    )
    summary = summarize(frame)
    assert only(summary, block="clean")["n"] == 2
    assert only(summary, unit="dataset-std")["change"] == -5.0
    assert only(summary, unit="raw")["change"] == -6.0


def test_training_runs_are_pooled_and_paired_within() -> None:
    frame = table(
        episodes([10.0, 20.0]),
        episodes([100.0, 200.0], train_seed=1, checkpoint="b" * 64),
        episodes([9.0, 19.0], attack="fgsm", eps=0.1),
        episodes([97.0, 197.0], train_seed=1, checkpoint="b" * 64, attack="fgsm", eps=0.1),
    )
    fgsm = only(summarize(frame), attack="fgsm")
    assert (fgsm["policy"], fgsm["n"], fgsm["seeds"], fgsm["change"]) == ("micro", 4, 2, -2.0)
    # -1 in one run and -3 in the other: a standard error of 1, and t of one degree of freedom.
    assert (fgsm["change_low"], fgsm["change_high"]) == pytest.approx((-2 - 12.706205, -2 + 12.706205))


def policies(*blocks: list[dict[str, object]]) -> list[str]:
    return prepare(table(*blocks))["policy"].unique().tolist()


def test_policies_are_named_by_what_tells_them_apart() -> None:
    assert policies([row()], [row(algorithm="combo")]) == ["combo", "micro"]
    other = "walker2d-medium-v2"
    assert policies([row()], [row(dataset=other)]) == ["micro, hopper-medium-v2", "micro, walker2d-medium-v2"]
    assert policies([row()], [row(dataset="", task="ant")]) == [
        "micro, hopper-medium-v2, hopper",
        "micro, no dataset, ant",
    ]


def test_checkpoints_not_known_to_be_runs_of_one_recipe_stay_apart() -> None:
    a, b = "a" * 64, "b" * 64
    assert policies([row(checkpoint=a)], [row(checkpoint=b, train_seed=1)]) == ["micro"]
    assert policies([row(checkpoint=a)], [row(checkpoint=b)]) == ["micro aaaaaaaa", "micro bbbbbbbb"]
    foreign = [row(checkpoint=a, train_seed=None)]
    assert policies(foreign) == ["micro"]
    assert policies(foreign, [row(checkpoint=b, train_seed=None)]) == ["micro aaaaaaaa", "micro bbbbbbbb"]


def test_a_foreign_policy_without_seed_has_changes_too() -> None:
    frame = table(
        episodes([50.0, 60.0], train_seed=None), episodes([49.0, 59.0], train_seed=None, attack="fgsm", eps=1)
    )
    assert only(summarize(frame), attack="fgsm")["change"] == -1.0


def test_without_anchors_raw_returns_are_used() -> None:
    frame = table(episodes([math.nan, math.nan], **{"return": 7.0}), episodes([50.0, 60.0], algorithm="combo"))
    summary = summarize(frame)
    assert only(summary, policy="micro")["metric"] == "return"
    assert only(summary, policy="micro")["mean"] == 7.0
    assert math.isnan(only(summary, policy="micro")["optimality_gap"])
    assert only(summary, policy="combo")["metric"] == "score"


def test_episodes_without_a_return_are_left_out_and_counted() -> None:
    broken = {"return": math.nan, "score": math.nan, "flags": "nan-action"}
    frame = table(episodes([50.0, 60.0]), [row(episode=2, eval_seed=102, **broken)])
    clean = only(summarize(frame), block="clean")
    assert (clean["metric"], clean["mean"], clean["n"], clean["left_out"]) == ("score", 55.0, 3, 1)
    assert clean["flags"] == "nan-action (1)"
    lost = only(summarize(table([row(**broken)])), block="clean")
    assert math.isnan(lost["mean"])
    assert (lost["n"], lost["left_out"]) == (1, 1)


def test_flags_are_counted_by_name() -> None:
    frame = table(
        [row(flags="zero-gradient;no-op-cell")],
        [row(eval_seed=101, flags="zero-gradient")],
        [row(eval_seed=102, flags="")],
    )
    assert summarize(frame)["flags"].tolist() == ["no-op-cell (1), zero-gradient (2)"]


def test_no_episodes_is_an_error() -> None:
    with pytest.raises(ValueError, match="no episodes to report"):
        summarize(table([row()]).iloc[:0])


def of_runs(levels: dict[int, float], n: int = 10, **changes: object) -> list[dict[str, object]]:
    """Episodes of training runs, each about its level."""
    return [
        one
        for seed, level in levels.items()
        for one in episodes([level + k % 3 for k in range(n)], train_seed=seed, checkpoint=f"{seed}" * 64, **changes)
    ]


def test_levels_of_other_runs_are_compared_over_common_ones() -> None:
    """Run 2 is bad. fgsm, measured there alone, costs 5; pgd costs 20 everywhere, and is what hurts most."""
    frame = table(
        of_runs({0: 80.0, 1: 70.0, 2: 30.0}),
        of_runs({2: 25.0}, attack="fgsm", eps=0.1),
        of_runs({0: 60.0, 1: 50.0, 2: 10.0}, attack="pgd", eps=0.1),
    )
    summary = summarize(frame)
    fgsm, pgd = only(summary, attack="fgsm"), only(summary, attack="pgd")
    assert fgsm["mean"] < pgd["mean"]
    assert (fgsm["common_seeds"], fgsm["clean_seeds"], fgsm["change"]) == (1, 3, -5.0)
    assert fgsm["aligned"] == pytest.approx(only(summary, block="clean")["mean"] - 5)
    assert pgd["aligned"] == pytest.approx(pgd["mean"])
    (worst,) = [line for line in reports.markdown(frame).splitlines() if "worst of 2" in line]
    assert "at pgd eps 0.1" in worst
    assert "10 (1 of 3 seeds)" in reports.markdown(frame)
    assert any("fgsm eps 0.1 has 1 of the 3 training runs that clean has" in note for note in reports.notes(frame))


def test_runs_without_a_clean_one_are_compared_as_they_are() -> None:
    frame = table(of_runs({0: 80.0}), of_runs({1: 20.0}, attack="fgsm", eps=0.1))
    fgsm = only(summarize(frame), attack="fgsm")
    assert (fgsm["common_seeds"], fgsm["clean_seeds"], fgsm["aligned"]) == (0, 1, fgsm["mean"])
    without = summarize(table(of_runs({1: 20.0, 2: 30.0}, attack="fgsm", eps=0.1)))
    assert without[["common_seeds", "clean_seeds"]].to_numpy().tolist() == [[2, 2]]


def test_runs_with_more_episodes_are_said_to_count_once() -> None:
    frame = table(of_runs({0: 80.0}, n=12), of_runs({1: 20.0}, n=10))
    assert only(summarize(frame), block="clean")["mean"] == pytest.approx((81 + 20.9) / 2)
    assert any(
        "training runs have 10 to 12 episodes in clean: each run has the same weight" in n for n in reports.notes(frame)
    )
    assert not any("same weight" in n for n in reports.notes(table(of_runs({0: 80.0, 1: 20.0}))))
