"""The sentences at the top of a page, worked out by hand."""

import pytest

import reports
from reports.words.verdict import findings, limits, sentence
from tests.reports.toys import episodes, table


def sentences_of(*blocks: list[dict[str, object]]) -> list[str]:
    return [sentence(finding) for finding in findings(reports.summarize(table(*blocks)))]


CLEAN = episodes([50.0, 50.0, 50.0])


def test_the_worst_of_each_budget_and_kind_is_named_with_its_numbers() -> None:
    sentences = sentences_of(
        CLEAN,
        episodes([45.0] * 3, attack="fgsm", eps=0.1),
        episodes([40.0] * 3, attack="pgd", eps=0.1),
        episodes([30.0] * 3, attack="pgd", eps=0.2),
        episodes([20.0] * 3, perturbation="mass", factor=0.5),
        episodes([60.0] * 3, perturbation="mass", factor=1.5),
        episodes([10.0] * 3, attack="pgd", eps=0.1, perturbation="mass", factor=0.5),
    )
    assert sentences == [
        "Clean: score 50.0 [50.0, 50.0] over 3 episodes.",
        "The worst of 2 attacks at eps 0.1 (dataset-std, linf) is pgd eps 0.1: score 40.0 [40.0, 40.0]; "
        "Δ vs. clean -10.0 [-10.0, -10.0], -20.0 %.",
        "The only attack at eps 0.2 (dataset-std, linf) is pgd eps 0.2: score 30.0 [30.0, 30.0]; "
        "Δ vs. clean -20.0 [-20.0, -20.0], -40.0 %.",
        "The worst of 2 perturbations is mass 0.5: score 20.0 [20.0, 20.0]; Δ vs. clean -30.0 [-30.0, -30.0], -60.0 %.",
        "The only attack with a perturbation is pgd eps 0.1 with mass 0.5: score 10.0 [10.0, 10.0]; "
        "Δ vs. clean -40.0 [-40.0, -40.0], -80.0 %.",
    ]


def test_what_changes_nothing_is_never_the_worst() -> None:
    sentences = sentences_of(
        CLEAN,
        episodes([50.0] * 3, attack="pgd", eps=0.0),
        episodes([50.0] * 3, perturbation="mass", factor=1.0),
        episodes([50.0] * 3, perturbation="latency", factor=0.0, nominal=0.0),
        episodes([55.0] * 3, perturbation="latency", factor=1.0, nominal=0.0),
    )
    assert len(sentences) == 2
    assert sentences[1].startswith("The only perturbation is latency 1: score 55.0")


def test_a_change_within_its_interval_shows_nothing() -> None:
    (_, attacked) = sentences_of(CLEAN, episodes([49.0, 51.0, 50.0], attack="pgd", eps=0.1))
    assert attacked.endswith(
        "No significant change from clean (the 95 % interval includes 0), which is not evidence of robustness."
    )


def test_one_episode_has_no_interval_and_shows_nothing() -> None:
    (clean, attacked) = sentences_of(episodes([50.0]), episodes([10.0], attack="pgd", eps=0.1))
    assert clean == "Clean: score 50.0 over 1 episodes."
    assert "score 10.0; Δ vs. clean -40.0, -80.0 %. No significant change" not in attacked
    assert "One pair of episodes gives no interval" in attacked


def test_flags_and_lost_episodes_are_told_beside_the_number() -> None:
    lost = episodes([20.0, 20.0], attack="pgd", eps=0.1, flags="nan-action")
    lost[1] |= {"return": float("nan"), "score": float("nan")}
    (_, attacked) = sentences_of(episodes([50.0, 50.0]), lost)
    assert attacked.endswith(
        "† Flagged: nan-action (2). † 1 of 2 episodes have no return and are left out of the mean."
    )


def test_without_clean_episodes_there_is_no_change() -> None:
    (attacked,) = sentences_of(episodes([20.0, 21.0], attack="pgd", eps=0.1))
    assert "no clean episode to compare with" in attacked


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (episodes([40.0] * 3, attack="pgd", eps=0.1), ["upper bound", "No perturbation was evaluated"]),
        (episodes([40.0] * 3, perturbation="mass", factor=2.0), ["No observation attack was evaluated"]),
    ],
)
def test_what_was_not_evaluated_is_said(block: list[dict[str, object]], expected: list[str]) -> None:
    sentences = limits(reports.summarize(table(CLEAN, block)))
    assert len(sentences) == len(expected)
    assert all(part in sentence for part, sentence in zip(expected, sentences, strict=True))
