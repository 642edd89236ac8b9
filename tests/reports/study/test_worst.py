"""Rows called `worst` in everything that speaks of the worst attack, and the minimum where there are none."""

from typing import Any

import pytest

import reports
from reports.figures import plots
from reports.study.summary import Study, study_of
from reports.study.worst import candidates, stands_apart
from reports.tables.choices import choice_table
from reports.words.verdict import findings, sentence
from tests.reports.toys import episodes, table

N = 12
CHOSEN_ON_THE_SAME = "The worst case is chosen on the same episodes"
BY = {"checkpoint": "a" * 64, "task": "hopper", "unit": "dataset-std", "norm": "linf", "seed": 100, "episodes": N}


BARE = BY | {"perturbation": "none", "factor": 1.0, "eps": 0.1, "attack": "pgd"}


def block(mean: float, start: int = 0, **changes: object) -> list[dict[str, object]]:
    """N episodes about a mean, numbered from `start`."""
    rows = episodes([mean + (i % 3 - 1) for i in range(N)], **changes)
    return [one | {"episode": start + i, "eval_seed": 100 + start + i} for i, one in enumerate(rows)]


def choice(attack: str = "pgd", eps: float = 0.1, **changes: object) -> dict[str, Any]:
    world = {"perturbation": "none", "factor": 1.0, "eps": eps}
    tried = {"mean_returns": {"pgd": 300.0, "fgsm": 310.0}, "passed_over": []}
    return BY | world | tried | {"attack": attack} | changes


CLEAN = [*block(50.0), *block(50.0, N)]
SEARCHED = [*block(21.0, attack="fgsm", eps=0.1), *block(20.0, attack="pgd", eps=0.1)]
WORST = block(22.0, N, attack="worst", eps=0.1)
ABOUT = {"runs": [{"worst": [choice()]}]}


def measured(*more: list[dict[str, object]], about: dict[str, Any] | None = ABOUT) -> Study:
    return study_of(table(CLEAN, SEARCHED, WORST, *more), about)


def notes_text(study: Study) -> str:
    return "\n".join(reports.notes(study))


def test_the_table_shows_what_was_measured_again_and_by_which_attack() -> None:
    shown = reports.robustness_table(measured())
    assert shown["attack"].tolist() == ["none", "fgsm", "pgd", "worst"]
    assert shown["micro score"].iloc[-1].startswith("22.0 ± 0.5 ")
    assert shown["micro score"].iloc[-1].endswith("] by pgd")
    assert shown["micro Δ vs. clean"].iloc[-1].startswith("-28.0 [-28.0, -28.0]")
    assert shown["micro n"].tolist() == ["24", "12", "12", "12"]
    assert "worst: the strongest attack on a first set of episodes" in reports.caption(measured())
    assert CHOSEN_ON_THE_SAME not in notes_text(measured())
    assert "was not compared with random noise" not in notes_text(measured(block(40.0, attack="random", eps=0.1)))


def test_without_such_rows_the_minimum_is_shown_and_told() -> None:
    study = study_of(table(CLEAN, SEARCHED))
    shown = reports.robustness_table(study)
    assert shown["attack"].tolist() == ["none", "fgsm", "pgd", "worst of 2"]
    assert shown["micro score"].iloc[-1].endswith(" at pgd eps 0.1")
    assert CHOSEN_ON_THE_SAME in notes_text(study)
    assert "worst:" not in reports.caption(study)


def test_the_verdict_rests_on_fresh_episodes() -> None:
    (_, worst) = findings(reports.summarize(measured()))
    assert sentence(worst) == (
        "The worst of 2 attacks at eps 0.1 (dataset-std, linf) is pgd eps 0.1, measured on fresh episodes: "
        f"score 22.0 {worst.interval}; Δ vs. clean -28.0 [-28.0, -28.0], -56.0 %."
    )
    assert (worst.title, worst.name) == ("Worst of 2 attacks at eps 0.1", "pgd eps 0.1")
    (_, untold) = findings(reports.summarize(measured(about=None)))
    assert untold.name == "worst eps 0.1"
    (_, alone) = findings(reports.summarize(table(CLEAN, WORST)))
    assert sentence(alone).startswith(
        "The only attack at eps 0.1 (dataset-std, linf) is worst eps 0.1, measured on fresh"
    )


def test_every_format_uses_them() -> None:
    study = measured()
    assert "22.0 $\\pm$ 0.5 by pgd" in reports.to_latex(reports.policy_table(study), "")
    assert "worst" not in reports.policy_table(study)
    assert reports.policy_table(study)["worst eps 0.1"].tolist() == ["22.0 ± 0.5 by pgd"]
    page = reports.html_page(study_of(study.frame), ABOUT)
    assert "measured on fresh episodes" in page
    assert "worst by pgd" in page
    assert CHOSEN_ON_THE_SAME not in page
    cells = reports.summarize(study)
    assert dict(zip(cells["attack"], cells["chosen"], strict=True)) == {
        "none": "",
        "fgsm": "",
        "pgd": "",
        "worst": "pgd",
    }


def test_the_ladder_ends_with_it() -> None:
    axes = plots.ladder_plot(measured(block(5.0, attack="action-diff", eps=0.1))).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["worst", "action-diff", "pgd", "fgsm"]


def test_of_several_budgets_the_largest_is_the_worst_whatever_noise_says() -> None:
    """A larger budget contains the smaller one; taking the lower mean would be a choice on the same episodes."""
    larger = block(23.0, N, attack="worst", eps=0.2)
    study = measured(larger, about={"runs": [{"worst": [choice(), choice("fgsm", 0.2)]}]})
    conditions = reports.summarize(study)
    worst = candidates(conditions[conditions["block"] == "attack"])
    assert worst[["attack", "eps", "chosen"]].to_numpy().tolist() == [["worst", 0.2, "fgsm"]]
    assert "worst of" not in reports.markdown(study)
    assert [finding.name for finding in findings(conditions)[1:]] == ["pgd eps 0.1", "fgsm eps 0.2"]


def test_the_worst_of_several_worlds_is_still_a_choice_among_them() -> None:
    worlds = [
        block(mean, N, attack="worst", eps=0.1, perturbation="mass", factor=factor)
        for mean, factor in ((15.0, 0.5), (14.0, 1.5))
    ]
    weaker = block(2.0, attack="pgd", eps=0.1, perturbation="mass", factor=1.5)  # not measured again: does not count
    about = {"runs": [{"worst": [choice(), *(choice("fgsm", perturbation="mass", factor=f) for f in (0.5, 1.5))]}]}
    study = measured(*worlds, weaker, about=about)
    assert CHOSEN_ON_THE_SAME in notes_text(study)
    shown = reports.robustness_table(study)
    (last,) = shown.loc[shown["attack"] == "worst of 2", "micro score"]
    assert last.endswith("at worst eps 0.1 with mass 1.5 by fgsm")
    assert sentence(findings(reports.summarize(study))[-1]).startswith(
        "The worst of 2 attacks with perturbations is fgsm eps 0.1 with mass 1.5: score 14.0"
    )


@pytest.mark.parametrize(
    ("attack", "apart"),
    [
        ("pgd@2+5", True),
        ("pgd(steps=50)@foot_joint", True),
        ('min-q(critic="a@b.safetensors")@2', True),
        ("oracle", True),
        ("oracle(candidates=16)", True),
        ("oracle@2", True),
        ("pgd", False),
        ('min-q(critic="a@b.safetensors")', False),
        ("adversary:runs/a@b.model", False),
        ("oracles:mine", False),
        ("my_module:oracle", False),
        ("worst", False),
    ],
)
def test_single_sensors_and_the_oracle_stand_apart(attack: str, apart: bool) -> None:
    assert stands_apart(attack) == apart


def test_what_stands_apart_is_never_the_worst_unless_there_is_nothing_else() -> None:
    aside = [block(5.0, attack="oracle", eps=0.1), block(6.0, attack="pgd@2", eps=0.1)]
    study = study_of(table(CLEAN, SEARCHED, *aside))
    assert reports.robustness_table(study)["micro score"].iloc[-1].endswith(" at pgd eps 0.1")
    assert findings(reports.summarize(study))[1].name == "pgd eps 0.1"
    assert findings(reports.summarize(study))[1].of == 2
    alone = study_of(table(CLEAN, *aside))
    assert findings(reports.summarize(alone))[1].name == "oracle eps 0.1"


def test_a_stronger_attack_that_had_no_part_in_the_choice_is_told() -> None:
    other = block(10.0, attack="adversary:nu", eps=0.1)
    weak = block(30.0, attack="mine:weak", eps=0.1)
    apart = block(1.0, attack="oracle", eps=0.1)
    assert "adversary:nu eps 0.1 has a lower mean than worst eps 0.1, which was chosen without it" in notes_text(
        measured(other, weak, apart)
    )
    took_part = {"runs": [{"worst": [choice(mean_returns={"pgd": 1.0, "fgsm": 2.0, "adversary:nu": 3.0})]}]}
    assert "which was chosen without it" not in notes_text(measured(other, about=took_part))


def test_a_choice_that_was_luck_is_told() -> None:
    """20 ± 0.5 on the first episodes, 30 on fresh ones, while the runner-up has 21 ± 0.5."""
    table_of = [CLEAN, SEARCHED, block(30.0, N, attack="worst", eps=0.1)]
    note = "fgsm eps 0.1, pgd eps 0.1 lies below that of worst eps 0.1, so the choice was chance"
    assert note in notes_text(study_of(table(*table_of), ABOUT))
    near = [CLEAN, SEARCHED, block(21.5, N, attack="worst", eps=0.1)]
    assert "was chance" not in notes_text(
        study_of(table(*near), {"runs": [{"worst": [choice(mean_returns={"fgsm": 1.0})]}]})
    )


def test_what_nobody_tells_and_what_was_passed_over_are_notes() -> None:
    assert "the attack behind worst eps 0.1 is unknown" in notes_text(measured(about=None))
    other = {"runs": [{"worst": [choice(checkpoint="b" * 64)]}]}
    assert "the attack behind worst eps 0.1 is unknown" in notes_text(measured(about=other))
    assert "is unknown" not in notes_text(measured())
    passed = {"runs": [{"worst": [choice(passed_over=["min-q"])]}]}
    assert "min-q was excluded from the choice of worst eps 0.1: some of its episodes ended" in notes_text(
        measured(about=passed)
    )
    dice = table(CLEAN, SEARCHED, [one | {"flags": "stochastic-policy"} for one in WORST])
    assert "the attack behind worst eps 0.1 depends on chance" in notes_text(study_of(dice, ABOUT))


def test_the_page_tells_how_it_was_chosen() -> None:
    newer = choice(runner_up="fgsm", margin=[10.0, -2.0, 22.0])
    rows = choice_table(measured(about={"runs": [{"worst": [choice("fgsm")]}, {"worst": [newer]}]}))
    assert rows.to_dict("records") == [
        {"policy": "micro", "condition": "worst eps 0.1", "attack": "pgd", "candidates": "2", "mean return": "300.0"}
        | {"runner-up": "fgsm", "margin": "10.0 [-2.0, 22.0]"}
    ]
    (bare,) = choice_table(measured(about={"runs": [{"worst": [BARE]}]})).to_dict("records")
    assert (bare["candidates"], bare["mean return"], bare["runner-up"], bare["margin"]) == ("–", "–", "–", "–")
    assert choice_table(measured(about=None)).empty
    assert "Choice of worst" in reports.html_page(measured().frame, ABOUT)
    assert "Choice of worst" not in reports.html_page(measured().frame)


@pytest.mark.parametrize("record", ["pgd", ["pgd"], [{"attack": "pgd"}], None, 3])
def test_damaged_records_tell_nothing(record: object) -> None:
    study = measured(about={"runs": [{"worst": record}]})
    assert reports.summarize(study)["chosen"].tolist() == [""] * 4
    assert "is unknown" in notes_text(study)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("eps", None),
            ("eps", "0.1"),
            ("factor", True),
            ("attack", 3),
            ("task", None),
            ("seed", "0"),
            ("episodes", []),
        ),
        *(("mean_returns", ["pgd"]), ("mean_returns", {"pgd": "low"}), ("passed_over", "pgd"), ("passed_over", [1])),
        *(("margin", 3), ("margin", [1.0]), ("margin", ["a", "b", "c"]), ("runner_up", None)),
    ],
)
def test_a_record_of_another_form_tells_nothing_and_stops_no_report(name: str, value: object) -> None:
    about = {"runs": [{"worst": [choice() | {name: value}]}]}
    study = measured(about=about)
    assert reports.summarize(study)["chosen"].tolist() == [""] * 4
    assert "Choice of worst" not in reports.html_page(study.frame, about)


def test_several_runs_and_newer_choices() -> None:
    """Two checkpoints with two choices are both named; of one checkpoint and one set of episodes the newer counts."""
    second = [one | {"train_seed": 1, "checkpoint": "b" * 64} for one in [*CLEAN, *SEARCHED, *WORST]]
    about = {"runs": [{"worst": [choice(checkpoint="b" * 64), choice("fgsm")]}]}
    both = study_of(table(CLEAN, SEARCHED, WORST, second), about)
    assert reports.summarize(both)["chosen"].iloc[-1] == "fgsm and pgd"
    newer = {"runs": [{"worst": [choice("fgsm")]}, {"worst": [choice("pgd")]}]}
    assert reports.summarize(measured(about=newer))["chosen"].iloc[-1] == "pgd"


def test_gates_count_them() -> None:
    study = measured()
    (failed,) = [one for one in reports.failures([reports.fail_under(21.8)], study) if "worst" in one]
    assert failed.startswith(
        "gate of all conditions: micro, worst eps 0.1: the lower end of the 95 % interval of the score is"
    )
    named = reports.Gate(chosen={"attack": "worst"}, min_score=21.0)
    assert reports.failures([named], study) == []


def test_a_comparison_pairs_them_and_tells_of_another_suite() -> None:
    better = table(CLEAN, SEARCHED, block(30.0, N, attack="worst", eps=0.1))
    smaller = {"runs": [{"worst": [choice(mean_returns={"pgd": 1.0})]}]}
    worst = reports.compare_results(better, measured().frame, smaller, ABOUT)
    assert worst.losses == ["worst eps 0.1"]
    assert "worst chosen from: pgd in A, pgd fgsm in B." in worst.changes


def test_curves_over_eps_are_made_of_them() -> None:
    """22 at .1 and 3 at .2 on fresh episodes, clean 50: half of it lies at .1 · 25/28, whatever the others say."""
    study = measured(block(3.0, N, attack="worst", eps=0.2))
    curves = reports.budget_numbers(study).set_index("attack")
    assert curves.loc["worst", "eps50"] == pytest.approx(0.1 * 25 / 28)
    assert curves.loc["worst", "n"] == N
