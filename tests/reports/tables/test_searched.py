"""The table of worst points: what it says of a search, and that others' files cannot break it."""

import copy
from typing import Any

import pytest

from reports.rows.sidecars import complaints
from reports.study.summary import study_of
from reports.tables.searched import search_table
from tests.reports.toys import episodes, table

ONE: dict[str, Any] = {
    "checkpoint": "a" * 64,
    "task": "hopper",
    **{"attack": "pgd", "eps": 0.1, "unit": "raw", "norm": "linf"},
    **{"perturbation": "mass=1.15,friction", "factor": 0.62},
    "box": {"mass": [0.8, 1.2], "friction": [0.5, 1.5], "gravity": [1.1, 1.1]},
    **{"points": 40, "episodes": 10, "seed": 0, "held_out": 10**12, "steps": 123456, "seconds": 12.5},
    "curve": [[1, 100, 900.0], [4, 400, 500.0], [40, 4000, 480.0]],
    "choosing": {"return": [480.0, 460.0, 500.0], "score": [24.0, 23.0, 25.0]},
    "fresh": {"return": [520.0, 490.0, 550.0], "score": [26.0, 24.5, 27.5]},
}


def shown(*records: dict[str, Any]) -> list[dict[str, str]]:
    about = {"runs": [{"searched": list(records)}]}
    lines = search_table(study_of(table(episodes([50.0, 60.0])), about))
    return [{str(name): str(text) for name, text in line.items()} for line in lines.to_dict("records")]


def test_a_search_is_one_line() -> None:
    (line,) = shown(ONE)
    assert line == {
        "policy": "micro",
        "observations": "pgd eps 0.1 raw",
        "searched": "mass 0.8 to 1.2, friction 0.5 to 1.5, gravity 1.1",
        "worst point": "mass 1.15 + friction 0.62",
        "choosing score": "24.0 [23.0, 25.0]",
        "fresh score": "26.0 [24.5, 27.5]",
        "points": "40",
        "steps": "123,456",
        "seconds": "12.5",
        "lowest return after": "1: 900.0, 4: 500.0, 40: 480.0",
    }


def test_without_scores_returns_are_shown_and_an_unfinished_search_has_no_fresh_number() -> None:
    bare = {**ONE, "choosing": {"return": [480.0, None, None]}, "fresh": {"return": [520.0, None, None]}}
    (line,) = shown(bare)
    assert (line["choosing return"], line["fresh return"]) == ("480.0 (no interval)", "520.0 (no interval)")
    (line,) = shown({name: value for name, value in ONE.items() if name != "fresh"})
    assert (line["choosing return"], line["fresh return"]) == ("480.0 [460.0, 500.0]", "–")
    with_scores, without = shown(ONE, {**bare, "seed": 1})
    assert (with_scores["fresh return"], without["fresh score"]) == ("–", "–")


def test_names_from_others_files_stay_on_one_line_and_steer_no_terminal() -> None:
    (line,) = shown({**ONE, "box": {"ma\x1b[31mss\n| x": [0.8, 1.2], "y" * 5000: [0, 1]}, "attack": "p\ngd"})
    text = "".join(line.values())
    assert text.isprintable()
    assert len(text) < 2000


def test_the_later_of_equal_searches_counts_and_other_policies_are_left_out() -> None:
    later = {**ONE, "points": 80}
    assert [line["points"] for line in shown(ONE, later, {**ONE, "checkpoint": "f" * 64})] == ["80"]
    assert len(shown(ONE, {**ONE, "box": {"mass": [0.5, 1.5]}})) == 2


@pytest.mark.parametrize("name", ["box", "curve", "choosing", "points", "factor", "perturbation", "seconds"])
@pytest.mark.parametrize("value", [[1, "x"], {"mass": "heavy"}, True])
def test_a_record_of_another_form_is_left_out_and_said(name: str, value: object) -> None:
    damaged = copy.deepcopy(ONE) | {name: value}
    about = {"runs": [{"searched": [damaged, {**ONE, "seed": 1}]}]}
    (complaint,) = complaints(about)
    assert complaint.startswith(f"runs[0].searched[0].{name}")
    assert len(shown(damaged, {**ONE, "seed": 1})) == 1
