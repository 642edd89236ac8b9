"""Numbers as text."""

import math

from reports.study.texts import interval


def test_an_interval_has_one_digit_and_no_negative_zero() -> None:
    assert interval(-0.04, 7.25) == "[0.0, 7.2]"


def test_without_an_interval_there_is_no_text() -> None:
    assert interval(math.nan, math.nan) == ""
