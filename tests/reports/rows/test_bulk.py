"""A file read at once equals the same file read row by row, or is left to that."""

import csv
import io
import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from reports.rows import bulk, parsing
from reports.rows.packing import unpacked
from reports.rows.schema import SCHEMA, check
from tests.reports.toys import episodes, row, table

GOOD = table(
    episodes([50.0, 51.5, 49.25]),
    episodes([50.0, 51.5], perturbation="friction=0.5,gravity", factor=0.75, train_seed=None, dataset=""),
    [row(algorithm="NA", attack="fgsm", eps=0.1, score=math.nan, flags="nan-action", **{"return": math.nan})],
    [row(algorithm="007", dataset="nan", task="1.0", checkpoint="1e5", episode=3)],
)
CONTENT = parsing.header() + parsing.lines(GOOD)

TEXTS = st.sampled_from(["", "NA", "nan", "None", "null", "007", "1e5", "1.0", "a,b", ",", 'a"b', '"', " ", "µ|σ", "#"])
NUMBERS = st.sampled_from(
    [
        "",
        "0",
        "1",
        "1.0",
        "-1",
        "+1",
        "01",
        " 1",
        "1 ",
        "1_0",
        "1e2",
        "1e400",
        "0x1",
        "NaN",
        "inf",
        "True",
        "x",
        "2" * 19,
    ]
)
INSERTED = st.sampled_from(
    [*'\n\r ,"01.e_\0\t-', "\r\n", "\n\n", '""', ",,", "NA", "True", "1.0", '"a,b"', '"a,"b', "\ufeff", "\udcff"]
)
PLACES = st.lists(st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 3), INSERTED | st.just("")), max_size=3)


def by_rows(content: bytes) -> pd.DataFrame | None:
    """What the exact parser reads, or None where it refuses."""
    try:
        return check(parsing._parse(content))
    except ValueError:
        return None


def agree(content: bytes) -> None:
    frame = bulk.table(content)
    if frame is None:
        return
    try:
        at_once = check(unpacked(frame))
    except ValueError:
        return  # the exact parser is asked next
    exact = by_rows(content)
    assert exact is not None, content
    assert_frame_equal(at_once, exact, check_exact=True)


def test_a_good_file_is_read_at_once() -> None:
    for content in (CONTENT, CONTENT.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + CONTENT):
        frame = bulk.table(content)
        assert frame is not None
        assert_frame_equal(unpacked(frame), GOOD)


def test_equal_texts_are_one_object() -> None:
    frame = parsing.parse(CONTENT, Path("results.csv"))
    assert len({id(text) for text in frame["checkpoint"].array}) == frame["checkpoint"].nunique() < len(frame)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"linf,none", b'"linf",none'),  # quotes without need
        (b'"friction=0.5,gravity"', b'"friction=0.5,"gravity'),
        (b",1000,50.0,\n", b",1000,50.0\n"),  # the flags are missing, not empty
        (b",1000,50.0,\n", b",1000,50.0,,\n"),
        (b",1000,50.0,\n", b",1000.5,50.0,\n"),
        (b",1000,50.0,\n", b",1000,True,\n"),
        (b",1000,50.0,\n", b",1000,50.0,\n\n"),
        (b"micro,", b"mi\0cro,"),
        (b"micro,", b"mi\xffcro,"),
    ],
)
def test_what_pandas_would_forgive_is_left_to_the_exact_parser(good: bytes, bad: bytes) -> None:
    assert good in CONTENT
    assert bulk.table(CONTENT.replace(good, bad, 1)) is None


def test_a_row_too_short_and_one_too_long_do_not_make_up_for_each_other() -> None:
    lines = CONTENT.splitlines(keepends=True)
    lines[1], lines[2] = lines[1].replace(b",\n", b"\n"), lines[2].replace(b",\n", b",,\n")
    assert bulk.table(b"".join(lines)) is None
    assert bulk.table(b"".join([lines[0], lines[2], lines[1], *lines[3:]])) is None


def test_lines_are_counted_across_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PIECE", 2 * max(map(len, CONTENT.splitlines(keepends=True))))
    frame = bulk.table(CONTENT)
    assert frame is not None
    assert_frame_equal(unpacked(frame), GOOD)
    assert bulk.table(CONTENT.replace(b",nan-action\n", b"\n")) is None


@pytest.mark.parametrize("name", ["train_seed", "episode", "eval_seed", "length"])
def test_whole_numbers_that_went_through_floats_are_whole(name: str) -> None:
    """As pandas writes a column in which another number is missing: 3.0; both parsers read it, neither 3.5."""

    def with_first(text: str) -> bytes:
        names, *rows = csv.reader(io.StringIO(CONTENT.decode()))
        rows[0][names.index(name)] = text
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([names, *rows])
        return stream.getvalue().encode()

    frame, exact = bulk.table(with_first("7.0")), by_rows(with_first("7.0"))
    assert frame is not None
    assert exact is not None
    assert unpacked(frame)[name].iloc[0] == exact[name].iloc[0] == 7
    assert unpacked(frame)[name].dtype == exact[name].dtype == SCHEMA[name]
    for text in ("7.5", "inf", "nan", "1e17", "0x1"):
        assert bulk.table(with_first(text)) is None
        with pytest.raises(ValueError, match=rf"row 1, column '{name}': '{text}' is not a whole number"):
            parsing.parse(with_first(text), Path("results.csv"))


@settings(deadline=None)
@given(st.data())
def test_small_tables_are_read_alike(data: st.DataObject) -> None:
    """Any field may be replaced, with the quotes that it needs or with quotes everywhere."""
    names, *rows = csv.reader(io.StringIO(CONTENT.decode()))
    for _ in range(data.draw(st.integers(1, 3))):
        chosen, place = data.draw(st.sampled_from(rows)), data.draw(st.integers(0, len(names) - 1))
        chosen[place] = data.draw(TEXTS if SCHEMA[names[place]] == "str" else NUMBERS)
    text, end = io.StringIO(), data.draw(st.sampled_from(["\n", "\r\n"]))
    if data.draw(st.booleans()):
        csv.writer(text, lineterminator=end).writerows([names, *rows])
    else:
        csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([names, *rows])
    agree(data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.getvalue().encode())


@settings(deadline=None)
@given(PLACES)
def test_damaged_files_are_read_alike(places: list[tuple[int, int, str]]) -> None:
    content = CONTENT
    for place, length, inserted in places:
        content = content[:place] + inserted.encode(errors="surrogateescape") + content[place + length :]
    agree(content)
