"""The page explains flags and notes in the words of docs/flags.md."""

import pytest

from reports.words.explanations import explanations, of_flag, of_note
from reports.words.remarks import notes
from tests.reports.small_study import study


@pytest.mark.parametrize("flag", ["nan-action", "no-op-cell", "unstable-physics", "zero-gradient", "loss-order"])
def test_a_flag_says_when_it_is_raised_and_what_to_do(flag: str) -> None:
    explanation = of_flag(flag)
    assert explanation is not None
    assert explanation.paragraphs[0].startswith("Raised if")
    assert any(paragraph.startswith("What to do: ") for paragraph in explanation.paragraphs)


def test_every_section_says_something() -> None:
    assert len(explanations()) > 15
    assert [explanation.heading for explanation in explanations() if not explanation.paragraphs] == []
    assert not any("#" in paragraph for explanation in explanations() for paragraph in explanation.paragraphs)


def test_a_flag_of_somebody_elses_has_no_explanation() -> None:
    assert of_flag("their-own-flag") is None


def test_a_note_is_found_by_what_its_heading_quotes() -> None:
    explanation = of_note(
        "micro: pgd eps 0.2 is weaker than eps 0.1, by 3.0 points: a larger budget contains the smaller one, "
        "so this is not evidence of robustness (return-rises)."
    )
    assert explanation is not None
    assert explanation.heading.startswith("“is weaker than eps …")
    assert of_note("the moon is made of cheese") is None


def test_every_note_of_a_study_is_explained() -> None:
    sentences = notes(study())
    assert len(sentences) > 5
    assert [sentence for sentence in sentences if of_note(sentence) is None] == []
