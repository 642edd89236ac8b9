"""Names hold what they say and sentences stay short, but in the files of two lists, which only shrink.

After mending a file, or after a merge: `python -m tests.words` rewrites both lists.
"""

import pytest

from tests.words import NAMES, SENTENCES, listed, names_to_mend, participles, sentences, sentences_to_mend, words


def test_no_name_is_a_participle_that_says_nothing_of_its_value() -> None:
    """`told`, `said`, `found`, `made`, `given` name no value; a mended file leaves the list."""
    assert names_to_mend() == listed(NAMES)


def test_sentences_are_short_in_docstrings_and_documents() -> None:
    """At most 35 words, fewer than 20 on average in a folder; a mended file leaves the list."""
    assert sentences_to_mend() == listed(SENTENCES)


@pytest.mark.parametrize(
    "source",
    [
        "told = 1",
        "a, (found, *b) = c",
        "def f(given): ...",
        "lambda *, made: 0",
        "class A:\n    said: int",
        "self.told = 1",
        "for found in a: ...",
        "[made for made in a]",
        "with a as given: ...",
        "import a as said",
        "(told := 1)",
        "try: ...\nexcept E as told: ...",
        "match a:\n    case [found]: ...",
    ],
)
def test_every_way_to_bind_a_name_is_seen(source: str) -> None:
    assert len(participles(source)) == 1


def test_reading_a_name_of_another_library_binds_nothing() -> None:
    assert participles("f(match.found, given=1, x='told')") == set()


def test_sentences_are_prose_alone() -> None:
    text = """# A heading is none

Two words. Four `more than one` words (here)! E.g. 0.5 is no end.

| a table | is none |
```sh
neither code
```
- a point
- another point: `code` is one word
name   what it is
"""
    assert [words(sentence) for sentence in sentences(text)] == [2, 4, 4, 2, 6, 3]
