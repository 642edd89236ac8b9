"""Scores against their own returns: what contradicts is named, and anchors of one's own stay possible."""

import numpy as np
import pandas as pd
import pytest

import reports
from reports.study.scales import contradictions
from reports.study.summary import load_study
from tests.reports.toys import row, table

HOPPER = {"Hopper-v4": (-20.272305, 3234.3)}
RETURNS = np.array([-60.0, 300.0, 1250.0, 2999.5, 3400.0])
RIGHT = 100 * (RETURNS + 20.272305) / (3234.3 + 20.272305)


def scored(scores: object, task: str = "Hopper-v4", returns: np.ndarray = RETURNS) -> pd.DataFrame:
    pairs = zip(returns.tolist(), np.asarray(scores, float).tolist(), strict=True)
    rows = [{"episode": k, "eval_seed": k, "return": r, "score": s, "task": task} for k, (r, s) in enumerate(pairs)]
    return table([row(**one) for one in rows])


def sentences(frame: pd.DataFrame, *, known: bool = True) -> list[tuple[str, bool]]:
    return [(one.sentence, one.is_certain) for one in contradictions(frame, HOPPER if known else None)]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("digits", [1, 2, 12])
def test_scores_by_the_tasks_anchors_are_believed(known: bool, digits: int) -> None:
    assert sentences(scored(RIGHT.round(digits)), known=known) == []


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (RIGHT / 100, "are on a scale from 0 to 1, a factor of 100 too small; expected 100·(R − -20.2723)/(3234.3"),
        ((RIGHT / 100).round(3), "are on a scale from 0 to 1"),
        (100 * RIGHT, "a factor of 100 too large"),
        (RETURNS, "are the returns themselves; expected 100·(R"),
        (np.where(np.arange(5) < 2, RIGHT, RIGHT / 100), "3 of 5 scores of Hopper-v4 are on a scale from 0 to 1"),
        (np.where(np.arange(5) < 2, RETURNS, RIGHT), "2 of 5 scores of Hopper-v4 are the returns themselves"),
    ],
)
def test_scores_of_a_known_task_on_another_scale_are_certainly_wrong(scores: np.ndarray, words: str) -> None:
    ((sentence, is_certain),) = sentences(scored(scores))
    assert words in sentence
    assert is_certain


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (100 * (RETURNS - 10) / 1990, "other anchors, 100·(R − a)/(b − a) with the anchors a = 10 and b = 2000"),
        (RIGHT.clip(0, 100), "2 of 5 scores of Hopper-v4 are clipped at 0 or 100"),
        (100 - RIGHT, "do not follow from their returns"),
        ([1.0, 90.0, 3.0, 70.0, 5.0], "do not follow from their returns"),
        ([50.0] * 5, "do not follow from their returns"),
    ],
)
def test_other_scores_of_a_known_task_are_remarked_upon(scores: object, words: str) -> None:
    ((sentence, is_certain),) = sentences(scored(scores))
    assert words in sentence
    assert not is_certain


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (RIGHT / 100, "lie between -0.0122 and 1.05, as on a scale from 0 to 1"),
        (RETURNS, "are its returns"),
        (100 - RIGHT, "fall where its returns rise"),
        (np.where(np.arange(5) == 4, RIGHT / 100, RIGHT), "1 of 5 scores of mine are on a scale from 0 to 1"),
        (np.where(np.arange(5) == 4, RETURNS, RIGHT), "1 of 5 scores of mine are the returns themselves"),
        (RIGHT + np.array([0, 0, 0, 9, 0]), "1 of 5 scores of mine do not follow from their returns"),
        ([1.0, 90.0, 3.0, 70.0, 5.0], "do not follow from its returns by two anchors"),
    ],
)
def test_scores_of_an_unknown_task_are_held_against_each_other(scores: object, words: str) -> None:
    ((sentence, is_certain),) = sentences(scored(scores, task="mine"))
    assert words in sentence
    assert not is_certain
    assert f"{sentence}." in reports.notes(scored(scores, task="mine"))


@pytest.mark.parametrize("returns", [np.array([7.0]), np.array([7.0, 7.0]), np.array([1.0, 2.0])])
def test_few_returns_contradict_nothing(returns: np.ndarray) -> None:
    assert sentences(scored(20 + returns, task="mine", returns=returns), known=False) == []


def test_missing_scores_and_returns_contradict_nothing() -> None:
    scores = RIGHT.copy()
    scores[2] = np.nan
    assert sentences(scored(scores)) == []
    assert sentences(scored(np.full(5, np.nan))) == []


def test_a_study_of_certainly_wrong_scores_is_refused(tmp_path: object) -> None:
    path = f"{tmp_path}/a.csv"
    reports.write(scored(RIGHT / 100), path, {})
    with pytest.raises(ValueError, match="0 to 1"):
        load_study([path], anchors=HOPPER)
    assert load_study([path]).summary["mean"].notna().all()


def test_tables_on_different_scales_are_compared_by_their_returns() -> None:
    comparison = reports.compare_results(scored(RIGHT, task="mine"), scored(RIGHT / 100, task="mine"))
    assert comparison.table["metric"].tolist() == ["return"]
    assert comparison.table["outcome"].tolist() == ["equal"]
    assert comparison.changes[0].startswith("Returns are compared: 5 of 10 scores of mine are on a scale from 0 to 1")
    own = scored(100 * (RETURNS - 10) / 1990)  # anchors of one's own are one scale
    for alike in (scored(RIGHT), own):
        assert reports.compare_results(alike, alike, anchors=HOPPER).table["metric"].tolist() == ["score"]
