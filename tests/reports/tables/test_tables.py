"""The table people read: layout, rounding, and the sentences below it."""

import csv
import io
import math
from pathlib import Path

import pandas as pd

import reports
from reports import caption, notes, robustness_table, to_csv, to_markdown
from tests.reports.toys import episodes, row, table

GOLDEN = Path(__file__).parents[1] / "golden"


def twelve_rows() -> pd.DataFrame:
    """Three episodes each: clean, noise, an attack that does worse than noise, a heavier robot."""
    return table(
        episodes([50.0, 52.0, 48.0]),
        episodes([40.0, 41.0, 39.0], attack="random", eps=0.1),
        episodes([45.0, 44.0, 43.0], attack="fgsm", eps=0.1, flags="zero-gradient"),
        episodes([55.0, 20.0, 30.0], perturbation="mass", factor=1.5),
    )


def test_twelve_rows_give_the_golden_page() -> None:
    assert reports.markdown(twelve_rows()) == (GOLDEN / "table.md").read_text(encoding="utf-8")


def test_the_golden_numbers_by_hand() -> None:
    """Clean (50+52+48)/3 = 50; random 40, so -10 or -20 %; fgsm 44; mass 35 in 20..55."""
    cells = robustness_table(twelve_rows())
    assert cells["attack"].tolist() == ["none", "random", "fgsm", "worst of 2", "none"]
    assert [cell.split(" ")[0] for cell in cells["micro score"]] == ["50.0", "40.0", "44.0", "40.0", "35.0"]
    assert cells["micro score"][2].endswith(" †")
    assert cells["micro score"][3].endswith(" at random eps 0.1")
    assert cells["micro Δ vs. clean"][0] == "–"
    assert cells["micro Δ vs. clean"][1].startswith("-10.0 [-12.5, -7.5]")  # t of two degrees of freedom · 1 / √3
    assert cells["micro Δ vs. clean"][1].endswith("], -20.0 %")
    assert cells["micro n"].tolist() == ["3"] * 5


def test_attacks_alone_need_no_column_for_perturbations() -> None:
    frame = table(episodes([50.0, 51.0]), episodes([40.0, 41.0], attack="fgsm", eps=0.1))
    assert list(robustness_table(frame).columns) == ["attack", "eps", "micro score", "micro Δ vs. clean", "micro n"]
    frame = table(episodes([50.0, 51.0]), episodes([40.0, 41.0], perturbation="mass", factor=0.5))
    assert list(robustness_table(frame).columns)[:2] == ["perturbation", "factor"]


def test_blocks_do_not_mix_and_end_with_their_worst() -> None:
    blocks = [episodes([60.0, 61.0])]
    blocks += [episodes([60 - 100 * e, 61 - 100 * e], attack="fgsm", eps=e) for e in (0.2, 0.1)]
    blocks += [episodes([60 - 9 * f, 61 - 9 * f], perturbation="mass", factor=f) for f in (0.5, 1.5)]
    blocks += [episodes([5.0, 6.0], attack="fgsm", eps=0.1, perturbation="mass", factor=f) for f in (0.5, 1.5)]
    cells = robustness_table(table(*blocks))
    heads = cells[["attack", "eps", "perturbation", "factor"]].to_numpy().tolist()
    assert heads == [
        ["none", "0", "none", "1"],
        ["fgsm", "0.1", "none", "1"],
        ["fgsm", "0.2", "none", "1"],
        ["worst of 2", "–", "–", "–"],
        ["none", "0", "mass", "0.5"],
        ["none", "0", "mass", "1.5"],
        ["–", "–", "worst of 2", "–"],
        ["fgsm", "0.1", "mass", "0.5"],
        ["fgsm", "0.1", "mass", "1.5"],
        ["worst of 2", "–", "–", "–"],
    ]
    assert cells["micro score"][3].endswith("at fgsm eps 0.2")
    assert cells["micro score"][6].endswith("at mass 1.5")
    assert cells["micro score"][9].endswith("at fgsm eps 0.1 with mass 0.5")


def test_two_policies_stand_side_by_side_and_a_missing_cell_shows() -> None:
    frame = table(
        episodes([50.0, 51.0]),
        episodes([40.0, 41.0], attack="fgsm", eps=0.1),
        episodes([70.0, 71.0], algorithm="combo"),
    )
    cells = robustness_table(frame)
    assert list(cells.columns)[2:] == [f"{p} {c}" for p in ("combo", "micro") for c in ("score", "Δ vs. clean", "n")]
    assert cells["combo score"][1] == "–"
    assert cells["micro score"][1].startswith("40.5 ")


def test_several_training_runs_are_counted_in_the_cell() -> None:
    frame = table(episodes([50.0, 51.0]), episodes([52.0, 53.0], train_seed=1, checkpoint="b" * 64))
    assert robustness_table(frame)["micro n"].tolist() == ["4 (2 seeds)"]


def test_two_budgets_get_columns_and_are_never_confused() -> None:
    frame = table(
        episodes([50.0, 51.0]),
        episodes([40.0, 41.0], attack="fgsm", eps=0.1),
        episodes([30.0, 31.0], attack="fgsm", eps=0.1, unit="raw", norm="l2"),
    )
    cells = robustness_table(frame)
    assert cells["unit"].tolist() == ["–", "dataset-std", "raw", "–"]
    assert cells["norm"].tolist() == ["–", "linf", "l2", "–"]
    assert cells["micro score"][3].endswith("at fgsm eps 0.1 raw l2")
    assert "Eps unit: dataset-std, linf norm and raw, l2 norm." in caption(frame)


def test_odd_cells_say_what_they_are() -> None:
    lost = {"return": math.nan, "score": math.nan, "flags": "nan-action"}
    frame = table([row(score=-0.04)], [row(attack="fgsm", eps=0.1, **lost)])
    cells = robustness_table(frame)
    assert cells["micro score"].tolist() == ["0.0 (no interval)", "no return †"]
    assert cells["micro Δ vs. clean"].tolist() == ["–", "–"]


def test_the_caption_names_metric_task_interval_and_budget() -> None:
    text = caption(twelve_rows())
    assert text.startswith(
        "Normalized score (100 = expert) of micro on hopper: mean ± half-width [95 % interval, t over"
    )
    assert text.endswith("Eps unit: dataset-std, linf norm.")
    assert "none (no observation attack)" in caption(table(episodes([1.0, 2.0])))
    assert caption(table(episodes([math.nan] * 2, **{"return": 5.0}))).startswith("Raw return of micro on hopper")


def test_the_caption_says_what_the_intervals_are_over() -> None:
    runs = [episodes([50.0, 51.0], train_seed=s, checkpoint=str(s) * 64) for s in range(2)]
    other = episodes([40.0, 41.0], algorithm="combo")
    assert "[95 % interval, t over training runs];" in caption(table(*runs))
    assert "[95 % interval, t over episodes, skewness-corrected];" in caption(table(other))
    both = "[95 % interval, t over training runs; where there is one, t over episodes, skewness-corrected];"
    assert both in caption(table(*runs, other))


def test_markdown_escapes_bars() -> None:
    text = to_markdown(pd.DataFrame({"a|b": ["c|d"]}), "caption")
    assert text.startswith("caption\n\n| a\\|b")
    assert "| c\\|d" in text
    assert text.endswith("|\n")


def test_csv_keeps_every_digit() -> None:
    summary = reports.summarize(twelve_rows())
    back = list(csv.DictReader(io.StringIO(to_csv(summary))))
    assert [float(line["low"]) for line in back] == summary["low"].tolist()
    assert [line["flags"] for line in back] == ["", "", "zero-gradient (3)", ""]


def notes_with(frame: pd.DataFrame, words: str) -> list[str]:
    return [note for note in notes(frame) if words in note]


TEN = [float(60 + i) for i in range(10)]


def moved(by: float, **changes: object) -> list[dict[str, object]]:
    """The ten clean episodes, moved, not all equally far."""
    return episodes([score + by + (-1) ** i for i, score in enumerate(TEN)], **changes)


def test_a_search_that_loses_to_noise_is_called_out() -> None:
    noise = moved(-20.0, attack="random", eps=0.1)
    weak = table(episodes(TEN), noise, moved(-5.0, attack="min-q", eps=0.1))
    (note,) = notes_with(weak, "is weaker than random noise")
    assert note == (
        "micro: min-q eps 0.1 is weaker than random noise of the same budget, by 15.0 points [15.0, 15.0]: its search "
        "fails on this policy, so the row is not evidence of robustness (blackbox-beats-whitebox)."
    )
    strong = table(episodes(TEN), noise, moved(-30.0, attack="min-q", eps=0.1))
    assert notes_with(strong, "random") == []


def test_a_search_like_noise_cannot_be_told_from_it() -> None:
    same = [row(episode=i, eval_seed=100 + i, score=s - 20 + 3 * (-1) ** i) for i, s in enumerate(TEN)]
    frame = table(
        episodes(TEN),
        episodes([s - 20 for s in TEN], attack="random", eps=0.1),
        [one | {"attack": "fgsm", "eps": 0.1} for one in same],
    )
    assert notes_with(frame, "micro: fgsm eps 0.1 does not differ significantly from random noise of the same budget")


def test_noise_of_another_size_is_no_yardstick() -> None:
    frame = table(episodes(TEN), moved(-20.0, attack="random", eps=0.2), moved(-5.0, attack="fgsm", eps=0.1))
    assert notes_with(frame, "fgsm eps 0.1 was not compared with random noise")
    assert not notes_with(frame, "is weaker")


def test_noise_on_all_sensors_is_no_yardstick_for_one() -> None:
    """An attack on one sensor may do less than noise on all of them, and is only compared with noise on that one."""
    noise, one = moved(-20.0, attack="random", eps=0.1), moved(-5.0, attack="pgd(steps=5)@2", eps=0.1)
    assert notes_with(table(episodes(TEN), noise, one), "random") == []
    own = moved(-10.0, attack="random@2", eps=0.1)
    assert notes_with(table(episodes(TEN), noise, one, own), "pgd(steps=5)@2 eps 0.1 is weaker than random noise")


def test_a_larger_budget_that_hurts_less_is_called_out() -> None:
    frame = table(episodes(TEN), moved(-20.0, attack="fgsm", eps=0.1), moved(-10.0, attack="fgsm", eps=0.2))
    (note,) = notes_with(frame, "is weaker than eps 0.1")
    assert note.startswith("micro: fgsm eps 0.2 is weaker than eps 0.1, by 10.0 points")
    assert note.endswith("(return-rises).")
    falling = table(episodes(TEN), moved(-10.0, attack="fgsm", eps=0.1), moved(-20.0, attack="fgsm", eps=0.2))
    assert not notes_with(falling, "is weaker than eps")


def test_a_change_within_its_interval_says_nothing() -> None:
    frame = table(episodes(TEN), moved(0.0, attack="random", eps=0.1), moved(-9.0, attack="random", eps=0.2))
    (note,) = notes_with(frame, "no significant change from clean")
    assert note == ("micro: no significant change from clean (the 95 % interval includes 0) for random eps 0.1.")


def test_one_pair_of_episodes_is_not_called_an_interval() -> None:
    frame = table(episodes([50.0]), episodes([40.0], attack="random", eps=0.1))
    assert notes_with(frame, "one pair of episodes gives no interval of the change from clean for random eps 0.1")
    assert not notes_with(frame, "no significant change")


def test_a_change_without_partners_is_not_made_up() -> None:
    frame = table(moved(-9.0, attack="random", eps=0.1))
    assert notes_with(frame, "the change from clean is unknown for random eps 0.1")


def test_flags_gaps_raw_returns_and_few_episodes_are_said() -> None:
    lost = {"return": math.nan, "score": math.nan, "flags": "nan-action"}
    frame = table(episodes(TEN[:4]), [row(episode=4, eval_seed=104, **lost)])
    assert notes_with(frame, "† clean is flagged: nan-action (1) of 5 episodes.")
    assert notes_with(frame, "† clean: 1 of 5 episodes have no finite return")
    assert notes_with(frame, "the smallest number of episodes behind a mean is 4")
    assert notes_with(table(episodes([math.nan] * 10, **{"return": 5.0})), "raw returns are shown because")
    assert not notes_with(table(episodes(TEN)), "the smallest number of episodes")


def test_the_number_of_training_runs_is_said() -> None:
    runs = [episodes(TEN, train_seed=s, checkpoint=str(s) * 64) for s in range(5)]
    assert notes_with(table(runs[0]), "one training run")
    assert notes_with(table(*runs[:3]), "3 training runs: with fewer than 5 the intervals are wide")
    assert notes(table(*runs)) == []


def test_clean_runs_that_disagree_are_said() -> None:
    again = episodes([s + 1 for s in TEN], unit="raw")
    assert notes_with(table(episodes(TEN), again), "10 episodes were evaluated twice with different outcomes")
    assert not notes_with(table(episodes(TEN), episodes(TEN, unit="raw")), "twice")


def test_the_worst_of_several_is_said_to_be_chosen() -> None:
    """The winner of a suite needs episodes it was not chosen on."""
    two = table(episodes(TEN), moved(-9.0, attack="random", eps=0.1), moved(-19.0, attack="fgsm", eps=0.1))
    assert notes_with(two, "The worst case is chosen on the same episodes that measure it")
    assert not notes_with(table(episodes(TEN), moved(-9.0, attack="random", eps=0.1)), "worst case")


def test_a_budget_of_nothing_must_give_the_clean_returns() -> None:
    nothing = {"attack": "fgsm", "eps": 0.0}, {"perturbation": "mass", "factor": 1.0}
    same = table(episodes(TEN), *(episodes(TEN, **changes) for changes in nothing))
    assert not notes_with(same, "changes nothing")
    assert not notes_with(same, "no significant change from clean")
    other = table(episodes(TEN), *(moved(0.0, **changes) for changes in nothing))
    names = [note.rpartition(" ")[2] for note in notes_with(other, "although it changes nothing")]
    assert names == ["(eps0-mismatch).", "(nominal-mismatch)."]
    assert [note.split(" differs")[0] for note in notes_with(other, "although it changes nothing")] == [
        "micro: fgsm eps 0",
        "micro: mass 1",
    ]


def test_a_perturbation_that_repeats_the_clean_episodes_is_no_evidence() -> None:
    """Value and length of every pair must agree; one episode that differs in either, or has none, is a change."""
    scores = [50.0, 52.0, 48.0]
    heavier = {"perturbation": "mass", "factor": 1.5}
    notes_with = (
        "micro: mass 1.5 reproduced the clean episodes bit for bit: the perturbation had no effect on them, so the "
        "row is not evidence of robustness."
    )
    clean = episodes(scores)
    assert notes_with in notes(table(clean, episodes(scores, **heavier)))
    assert notes_with in notes(table(clean[:2], episodes(scores, **heavier)))  # the third has no partner
    partly = [*episodes(scores[:2], **heavier), *episodes(scores, **heavier, flags="no-op-cell")[2:]]
    assert notes_with in notes(table(clean, partly))
    for other in (
        episodes([50.0, 52.0, 48.000001], **heavier),
        [*episodes(scores[:2], **heavier), *episodes(scores, **heavier, length=999)[2:]],
        episodes(scores, **heavier, flags="no-op-cell"),
        episodes(scores, perturbation="mass", factor=1.0),
        episodes(scores, **heavier, eval_seed=7),
        episodes(scores, attack="fgsm", eps=0.1),
        episodes(scores, perturbation="mass=1.5,friction", factor=1.0),
        [*episodes(scores[:2], **heavier), *episodes([math.nan] * 3, **heavier, flags="nan-action")[2:]],
    ):
        assert not [note for note in notes(table(clean, other)) if "to the last bit" in note]
