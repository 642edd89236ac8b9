"""Two results side by side, with p values counted by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from reports.findings.comparison import compare_results as compare
from reports.findings.comparison import holm, sign_flip_test, smallest_p
from reports.tables.comparison import comparison_markdown, sentences
from tests.reports.toys import episodes, table

A_SCORES = [50.0, 52.0, 54.0, 56.0, 58.0, 60.0, 62.0, 64.0]


def shifted(by: float | list[float]) -> list[float]:
    return [score + one for score, one in zip(A_SCORES, np.broadcast_to(by, len(A_SCORES)).tolist(), strict=True)]


# ---- the statistics


def test_p_counts_the_sign_patterns_that_are_as_extreme() -> None:
    """Of the 16 signed sums of 1, 2, -0.5, 3 (here 5.5) two are at least 5.5: 5.5 itself and 6.5; two-sided 4/16."""
    assert sign_flip_test(np.array([1.0, 2.0, -0.5, 3.0])) == 4 / 16


def test_p_agrees_with_enumeration() -> None:
    difference = np.random.default_rng(1).normal(0.4, 1, 9)
    sums = [abs(float(np.dot(signs, difference))) for signs in itertools.product((1, -1), repeat=9)]
    extreme = sum(total >= abs(difference.sum()) - 1e-12 for total in sums)
    assert sign_flip_test(difference) == pytest.approx(extreme / 2**9)


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip_test(np.zeros(5)) == 1


def test_p_is_uniform_enough_where_nothing_differs() -> None:
    """Of 400 comparisons without a difference about 20 fall below .05: 3.3 standard deviations either side."""
    noise = np.random.default_rng(2).normal(size=(400, 10))
    assert 6 <= sum(sign_flip_test(row) < 0.05 for row in noise) <= 34


@pytest.mark.parametrize("pairs", [1, 4, 13, 14, 40])
def test_the_smallest_p_is_that_of_losing_every_pair(pairs: int) -> None:
    assert sign_flip_test(np.full(pairs, -1.0)) == pytest.approx(smallest_p(pairs), rel=3)
    assert sign_flip_test(np.full(pairs, -1.0)) >= smallest_p(pairs)


def test_ten_pairs_can_show_a_loss_among_25_conditions() -> None:
    """As docs/reports.md says: 25 · 2/1024 < .05 < 26 · 2/1024."""
    assert 25 * smallest_p(10) < 0.05 < 26 * smallest_p(10)


def test_holm_by_hand() -> None:
    """Sorted .005, .01, .03, .04 times 4, 3, 2, 1 is .02, .03, .06, .04, and never falling .02, .03, .06, .06."""
    assert holm(np.array([0.04, 0.005, 0.03, 0.01])).tolist() == pytest.approx([0.06, 0.02, 0.06, 0.03])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


# ---- the comparison


def test_the_same_results_are_equal_to_the_last_bit() -> None:
    frame = table(episodes(A_SCORES), episodes(A_SCORES, attack="pgd", eps=0.1))
    comparison = compare(frame, frame)
    assert comparison.table["outcome"].tolist() == ["equal", "equal"]
    assert comparison.losses == comparison.only_a == comparison.only_b == comparison.changes == []
    assert sentences(comparison) == ["All 16 pairs of episodes are equal to the last bit."]


def test_a_loss_is_named_with_its_numbers() -> None:
    """Eight losses of 2 to 4: p is 2/256, twice that for two conditions."""
    worse = shifted([-2.0, -3, -4, -2, -3, -4, -2, -4])
    a = table(episodes(A_SCORES), episodes(A_SCORES, attack="pgd", eps=0.1))
    b = table(episodes(A_SCORES), episodes(worse, attack="pgd", eps=0.1))
    comparison = compare(a, b)
    row = comparison.table.iloc[1]
    assert (row["difference"], row["n"], row["a"], row["b"]) == (-3.0, 8, 57.0, 54.0)
    assert (row["p"], row["p_holm"]) == (2 / 256, 4 / 256)
    assert row["high"] < 0
    assert comparison.losses == ["pgd eps 0.1"]
    assert sentences(comparison)[0] == "B is significantly worse in 1 of 2 conditions: pgd eps 0.1."
    assert compare(b, a).table["outcome"].tolist() == ["equal", "gain"]


def test_the_correction_can_take_a_loss_back() -> None:
    """p = 2/64 with six pairs: significant alone, not beside another condition."""
    worse = episodes([x - 1 - 0.1 * i for i, x in enumerate(A_SCORES[:6])], attack="pgd", eps=0.1)
    before = episodes(A_SCORES[:6], attack="pgd", eps=0.1)
    assert compare(table(before), table(worse)).losses == ["pgd eps 0.1"]
    clean = episodes(A_SCORES[:6])
    both = compare(table(clean, before), table(clean, worse))
    assert both.losses == []
    assert both.table["p_holm"].iloc[1] == 4 / 64
    assert "not evidence that there is none. The 95 % intervals include losses of up to" in sentences(both)[0]


def test_too_few_pairs_for_so_many_conditions_are_told() -> None:
    """Four pairs give p 2/16 at best: nothing can be significant, however large the loss."""
    comparison = compare(table(episodes(A_SCORES[:4])), table(episodes([0.0] * 4)))
    assert comparison.losses == []
    assert "With 4 pairs no loss can be significant among 1 conditions" in sentences(comparison)[1]
    assert not compare(table(episodes(A_SCORES)), table(episodes([0.0] * 8))).is_blind


def test_what_changes_nothing_is_not_counted_among_the_conditions() -> None:
    nothing = [episodes(A_SCORES, attack="pgd", eps=0.0), episodes(A_SCORES, perturbation="mass", factor=1.0)]
    frame = table(episodes(A_SCORES), *nothing)
    assert compare(frame, frame).table["condition"].tolist() == ["clean"]


def test_pairs_are_the_common_episodes_in_any_order() -> None:
    a = table(episodes(A_SCORES))
    b = table([row for row in reversed(episodes(shifted(-1.0)))][:5])
    row = compare(a, b).table.iloc[0]
    assert (row["n"], row["difference"]) == (5, -1.0)


def test_two_policies_are_compared_whatever_they_are_called() -> None:
    other = {"algorithm": "sac", "checkpoint": "b" * 64, "train_seed": 7}
    comparison = compare(table(episodes(A_SCORES)), table(episodes(shifted(-5.0), **other)))
    assert comparison.table["n"].tolist() == [8]
    assert comparison.changes == [
        "algorithm: micro in A, sac in B.",
        "checkpoint: aaaaaaaaaaaa in A, bbbbbbbbbbbb in B.",
    ]


def test_several_policies_are_compared_with_their_namesakes() -> None:
    sac = {"algorithm": "sac", "checkpoint": "b" * 64}
    a = table(episodes(A_SCORES), episodes(A_SCORES, **sac))
    b = table(episodes(A_SCORES), episodes(shifted(-5.0), **sac))
    assert compare(a, b).table["condition"].tolist() == ["micro, clean", "sac, clean"]
    assert compare(a, b).losses == ["sac, clean"]


def test_several_training_runs_are_paired_by_their_seed() -> None:
    runs = [{"train_seed": seed, "checkpoint": str(seed) * 64} for seed in (1, 2)]
    a = table(*(episodes(A_SCORES, **run) for run in runs))
    b = table(*(episodes(shifted(-5.0), **run) for run in runs))
    assert compare(a, b).table["n"].tolist() == [16]


def test_what_cannot_be_compared_is_listed() -> None:
    a = table(
        episodes(A_SCORES), episodes(A_SCORES, attack="pgd", eps=0.1), episodes([1.0], perturbation="mass", factor=2.0)
    )
    moved = [row | {"eval_seed": 7} for row in episodes([1.0], perturbation="mass", factor=2.0)]
    b = table(episodes(A_SCORES), episodes(A_SCORES, attack="fgsm", eps=0.1), moved)
    comparison = compare(a, b)
    assert (comparison.only_a, comparison.only_b, comparison.unpaired) == (
        ["pgd eps 0.1"],
        ["fgsm eps 0.1"],
        ["mass 2"],
    )
    assert sentences(comparison)[1:] == [
        "Only in A: pgd eps 0.1.",
        "Only in B: fgsm eps 0.1.",
        "Without a common episode: mass 2.",
    ]


def test_nothing_in_common_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no episode in common"):
        compare(table(episodes(A_SCORES)), table(episodes(A_SCORES, task="walker2d")))


def test_lost_episodes_are_counted_and_not_averaged() -> None:
    lost = episodes(shifted(-1.0))
    lost[0] |= {"score": float("nan"), "return": float("nan"), "flags": "nan-action"}
    comparison = compare(table(episodes(A_SCORES)), table(lost))
    assert (comparison.table["n"][0], comparison.table["left_out"][0], comparison.table["difference"][0]) == (
        7,
        1,
        -1.0,
    )
    assert "1 pairs are left out, because one side has no finite return; see the flags." in sentences(comparison)


def test_scores_and_returns_are_not_mixed() -> None:
    unscored = [row | {"score": float("nan")} for row in episodes(shifted(-1.0))]
    row = compare(table(episodes(A_SCORES)), table(unscored)).table.iloc[0]
    assert (row["metric"], row["difference"]) == ("return", -20.0)


def test_what_else_differs_is_said() -> None:
    frame = table(episodes(A_SCORES))
    about = [
        {"runs": [{"versions": {"mujoco": v, "torch": "2"}, "conditions": {"env_id": "hopper"}}]} for v in ("3", "4")
    ]
    assert compare(frame, frame, *about).changes == ["mujoco: 3 in A, 4 in B."]


def test_the_text_has_the_table_and_the_sentences() -> None:
    text = comparison_markdown(compare(table(episodes(A_SCORES)), table(episodes(shifted(-5.0)))))
    lines = text.splitlines()
    assert lines[0] == "B vs. A: mean score over paired episodes; p is two-sided and Holm-corrected for all conditions."
    assert [cell.strip() for cell in lines[4].strip("|").split("|")] == [
        *("clean", "57.0", "52.0", "-5.0 [-5.0, -5.0]", "0.0078", "8", "loss")
    ]
    assert lines[-1] == "- B is significantly worse in 1 of 1 conditions: clean."


def test_the_order_of_rows_changes_nothing() -> None:
    a, b = table(episodes(A_SCORES)), table(episodes(shifted([-1.0, 1, -2, 2, -3, 3, -4, 0])))
    pd.testing.assert_frame_equal(compare(a, b).table, compare(a[::-1], b.sample(frac=1, random_state=0)).table)


def test_a_comparison_says_which_runs_both_have() -> None:
    runs = [episodes([50.0 + k for k in range(6)], train_seed=seed, checkpoint=str(seed) * 64) for seed in range(3)]
    comparison = compare(table(*runs), table(*runs[1:]))
    row = comparison.table.iloc[0]
    assert (row["n"], row["runs"], row["runs_a"], row["runs_b"]) == (12, 2, 3, 2)
    assert "Compared over common training runs only, 2 of 3 in A and 2 in B: clean." in sentences(comparison)
    whole = sentences(compare(table(*runs), table(*runs)))
    assert not any("both have" in one for one in whole)


def test_levels_and_p_count_every_run_once() -> None:
    """Run 0 (9 pairs) gains 1, run 1 (1 pair) loses 9: the mean difference is -4, not 0."""
    a = table(episodes([50.0] * 9), episodes([50.0], train_seed=1, checkpoint="b" * 64))
    b = table(episodes([51.0] * 9), episodes([41.0], train_seed=1, checkpoint="b" * 64))
    row = compare(a, b).table.iloc[0]
    assert (row["a"], row["b"], row["difference"]) == pytest.approx((50, 46, -4))
    assert row["p"] == 1.0  # however signs are flipped, run 1 outweighs run 0


def test_too_many_conditions_are_not_compared() -> None:
    """Holm's correction for a thousand needs a p that no evaluation of ordinary size gives, and takes its time."""
    many = table(*(episodes([50.0], attack=f"a{k}", eps=0.1) for k in range(1001)))
    with pytest.raises(ValueError, match="1,001 conditions in common, too many"):
        compare(many, many)
