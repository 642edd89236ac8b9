"""Estimates worked out by hand, and what is shown where there is no terminal."""

import math

import pytest

from microbench.progress import Estimate, time_left, track


def test_the_rest_is_estimated_from_what_each_kind_costs() -> None:
    """100 clean episodes at 0.1 s, 100 of pgd at 2 s, on 4 workers, and 20 later ones as dear as pgd's."""
    estimate = Estimate({"none": 100, "pgd": 100}, later=20)
    assert math.isnan(estimate.seconds())
    estimate.finished("none", 50, 5.0, 4)
    assert estimate.done == 50
    assert math.isnan(estimate.seconds())  # pgd has not been seen: whatever was said would be too short
    estimate.finished("pgd", 10, 20.0, 4)
    assert estimate.seconds() == pytest.approx((50 * 0.1 + 90 * 2 + 20 * 2) / 4)
    estimate.finished("none", 50, 5.0, 4)
    estimate.finished("pgd", 90, 180.0, 4)
    assert estimate.seconds() == pytest.approx(20 * 2 / 4)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (math.nan, ""),
        (0, "about 0 s left"),
        (119.4, "about 119 s left"),
        (600, "about 10 min left"),
        (9000, "about 2.5 h left"),
    ],
)
def test_times_are_told_in_words(seconds: float | None, words: str) -> None:
    assert time_left(seconds) == words


def test_plain_lines_know_that_resumed_work_does_not_start_at_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("microbench.progress.time.monotonic", lambda: now[0])
    with track("updates", 1000, quiet=False) as tracker:
        tracker.advance_to(800)
        now[0] = 20.0
        tracker.advance_to(900)
        now[0] = 25.0
        tracker.advance_to(950)  # too soon for another line
        now[0] = 31.0
        tracker.advance_to(960, "score 3", left=7)
        now[0] = 42.0
        tracker.advance_to(970, "(pgd)", left=math.nan)  # the pace is not asked where somebody else does not know
    assert capsys.readouterr().err == (
        "updates: 900/1000, about 20 s left\nupdates: 960/1000, about 7 s left score 3\nupdates: 970/1000 (pgd)\n"
    )
