"""Episode ends: counting, names of flags, and remarks on files without flags."""

from typing import Any

import numpy as np
import pytest

from microbench.data.ends import Ends, Flags, counted_truncations, ends_of, lacking, remarks


def flags(rows: int, *marked: int) -> Flags:
    array = np.zeros(rows, bool)
    array[list(marked)] = True
    return array


def where(array: Flags) -> list[int]:
    return np.flatnonzero(array).tolist()


def test_counting_starts_anew_after_every_end() -> None:
    assert where(counted_truncations(flags(11), 3, restart=0)) == [2, 5, 8]
    assert where(counted_truncations(flags(11, 0, 4), 3, restart=0)) == [3, 7, 10]
    assert where(counted_truncations(flags(0), 3, restart=0)) == []


def test_a_count_that_goes_on_from_one_is_a_row_early_after_a_fall_only() -> None:
    assert where(counted_truncations(flags(11), 3, restart=1)) == [2, 5, 8]
    assert where(counted_truncations(flags(11, 0), 3, restart=1)) == [2, 5, 8]  # instead of 3, 6, 9
    assert where(counted_truncations(flags(11, 2), 3, restart=1)) == [2, 5, 8]  # a fall that is counted out


def test_falls_and_cuts_of_a_file_with_every_name() -> None:
    terminated, truncated = flags(6, 1), flags(6, 3)
    files: list[dict[str, Any]] = [
        {"terminals": terminated, "timeouts": truncated},
        {"terminations": terminated, "truncations": truncated.astype(float)},
        {"terminals": terminated, "episode_terminals": terminated | truncated},
        {"terminals": terminated, "dones": terminated | truncated},
        {"dones": terminated | truncated, "truncations": truncated},
    ]
    for file in files:
        ends = ends_of(file, limit=2)
        assert (where(ends.terminated), where(ends.truncated), ends.marked) == ([1], [3], True), file
        assert lacking(file) == ""


def test_flags_of_ends_that_mark_falls_alone_leave_cuts_to_be_counted() -> None:
    ends = ends_of({"terminals": flags(6, 1), "dones": flags(6, 1)}, limit=3)
    assert (where(ends.truncated), ends.marked) == ([4], False)


def test_what_cannot_be_told_is_lacking() -> None:
    assert lacking(["observations"]) == "terminals"
    assert "'dones' mark terminations and truncations alike" in lacking(["dones"])


def ends(rows: int, *truncated: int, terminated: tuple[int, ...] = (), marked: bool = True) -> Ends:
    return Ends(terminated=flags(rows, *terminated), truncated=flags(rows, *truncated), marked=marked)


def test_the_longest_stretch_without_an_end() -> None:
    assert ends(10, 2, terminated=(3,)).longest == 6
    assert ends(10).longest == 10
    assert ends(0).longest == 0


@pytest.mark.parametrize(
    ("file", "limit", "words"),
    [
        (ends(8, 3, 7), 4, []),
        (ends(8, 3, marked=False), 4, ["marks no truncation", "after the 4 steps of Toy-v0"]),
        (ends(8), 4, ["no end of an episode was found in 8 rows"]),
        (ends(8, 0), 4, ["7 rows follow each other without an end", "after 4 steps"]),
        (ends(8, terminated=(2,), marked=False), None, ["Toy-v0 has no time limit to count to"]),
    ],
)
def test_what_is_said_of_the_ends(file: Ends, limit: int | None, words: list[str]) -> None:
    sentences = " ".join(remarks(file, limit, "Toy-v0"))
    assert bool(sentences) == bool(words)
    for word in words:
        assert word in sentences
