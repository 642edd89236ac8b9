"""The results table on disk: exact, whole, and honest about damage."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import reports
from reports import files
from reports.rows import parsing, results, writer
from tests.reports.toys import episodes, row, table


def damaged(path: Path, content: bytes) -> str:
    """The one sentence that reading this content gives."""
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"results\.csv: ") as raised:
        results.read(path)
    sentence = str(raised.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


@pytest.fixture
def content(path: Path) -> bytes:
    """Three good rows."""
    results.write(table(episodes([50.0, 51.5, 49.0])), path, {})
    return path.read_bytes()


def test_columns_are_the_agreed_ones_in_order() -> None:
    identity = ["algorithm", "dataset", "train_seed", "checkpoint", "task"]
    condition = ["attack", "eps", "unit", "norm", "perturbation", "factor", "nominal", "episode", "eval_seed"]
    optional = ["recipe", "attack_files", "perturbation_files"]
    assert list(results.SCHEMA) == [*identity, *condition, "return", "length", "score", "flags", *optional]


@settings(deadline=None)  # it writes files
@given(
    st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e300)),
        min_size=1,
        max_size=20,
    )
)
def test_floats_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[float, float]]
) -> None:
    path = tmp_path_factory.mktemp("bits") / "results.csv"
    rows = [
        row(**{"return": a, "score": a, "eps": b, "attack": "fgsm", "episode": i}) for i, (a, b) in enumerate(values)
    ]
    results.write(pd.DataFrame(rows), path, {})
    back = results.read(path)
    assert back["return"].to_numpy().tobytes() == np.array([a for a, _ in values]).tobytes()
    assert back["eps"].to_numpy().tobytes() == np.array([b for _, b in values]).tobytes()


def test_missing_values_survive_and_empty_flags_stay_text(path: Path) -> None:
    frame = table(
        [row(train_seed=None, score=math.nan, dataset="")],
        [row(train_seed=2**60 + 1, episode=1, flags="nan-action;zero-gradient", **{"return": math.nan})],
    )
    results.write(frame, path, {})
    back = results.read(path)
    assert_frame_equal(back, frame)
    assert back["flags"].tolist() == ["", "nan-action;zero-gradient"]
    assert back["dataset"].tolist() == ["", "hopper-medium-v2"]
    assert back["train_seed"].isna().tolist() == [True, False]
    assert int(back["train_seed"].iloc[1]) == 2**60 + 1
    assert {name: str(dtype) for name, dtype in back.dtypes.items()}["train_seed"] == "Int64"


def test_text_with_commas_quotes_and_signs_survives(path: Path) -> None:
    frame = table([row(algorithm='a "quoted", name', task="µ|σ", flags="unstable-physics")])
    results.write(frame, path, {})
    assert_frame_equal(results.read(path), frame)


def test_a_frame_from_plain_python_gets_the_schemas_dtypes() -> None:
    frame = results.check(pd.DataFrame([row(eps=0, factor=1, train_seed=3), row(train_seed=None, episode=1)]))
    assert frame["eps"].dtype == np.float64
    assert frame["train_seed"].tolist() == [3, pd.NA]


def test_the_order_of_columns_is_restored() -> None:
    frame = pd.DataFrame([row()])
    assert list(results.check(frame[sorted(frame.columns)]).columns) == list(results.SCHEMA)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"eps": -0.1, "attack": "fgsm"}, r"row 2, column 'eps'.*-0\.1"),
        ({"eps": math.nan, "attack": "fgsm"}, "row 2, column 'eps'.*nan"),
        ({"eps": 0.1}, "row 2, column 'eps'.*'none' has eps 0"),
        ({"factor": 0.5}, "row 2, column 'factor'.*'none' has factor 1"),
        ({"return": math.nan}, "row 2, column 'return'.*nan-"),
        ({"return": math.inf, "flags": "zero-gradient"}, "row 2, column 'return'"),
        ({"flags": math.nan}, "row 2, column 'flags': expected text"),
        ({"flags": "a\nb"}, "row 2, column 'flags': expected text on one line"),
        ({"score": "high"}, "row 2, column 'score': expected a number, found 'high'"),
        ({"length": 10.5}, r"row 2, column 'length': expected a whole number.*10\.5"),
        ({"length": True}, "row 2, column 'length'"),
        ({"train_seed": 0.5}, "row 2, column 'train_seed'"),
        ({"eval_seed": 2**63}, "row 2, column 'eval_seed'.*64 bits"),
        ({"episode": -1}, "row 2, column 'episode'"),
        ({"length": -1}, "row 2, column 'length'"),
    ],
)
def test_impossible_values_are_named_by_row_and_column(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        results.check(pd.DataFrame([row(), row(**({"episode": 1} | changes))]))


@pytest.mark.parametrize("flags", ["nan-action", "no-op-cell;unstable-physics", "unstable"])
def test_a_flag_excuses_a_missing_return(flags: str) -> None:
    frame = results.check(pd.DataFrame([row(flags=flags, score=math.nan, **{"return": math.nan})]))
    assert frame["return"].isna().all()


def test_missing_extra_and_doubled_columns_are_named() -> None:
    frame = pd.DataFrame([row()])
    with pytest.raises(ValueError, match="'score' is missing"):
        results.check(frame.drop(columns="score"))
    with pytest.raises(ValueError, match="'reward' is not a column of results"):
        results.check(frame.assign(reward=1.0))
    with pytest.raises(ValueError, match="'task' occurs twice"):
        results.check(pd.concat([frame, frame[["task"]]], axis=1))


def test_an_empty_file_is_named(path: Path) -> None:
    assert "the file is empty" in damaged(path, b"")
    assert "the file is empty" in damaged(path, b"\n \n")


def test_a_table_without_rows_is_a_table(path: Path, content: bytes) -> None:
    path.write_bytes(content.splitlines(keepends=True)[0])
    assert_frame_equal(results.read(path), table(episodes([1.0])).iloc[:0])


def test_a_foreign_table_is_named(path: Path) -> None:
    assert "column 'algorithm' is missing" in damaged(path, b"a,b\n1,2\n")
    assert "column 'algorithm' is missing" in damaged(path, b"\x00" * 100)


def test_a_missing_column_in_a_file_is_named(path: Path, content: bytes) -> None:
    assert "column 'norm' is missing" in damaged(path, content.replace(b",norm,", b",", 1))


def test_a_binary_file_is_named(path: Path, content: bytes) -> None:
    assert "line 1, byte 0 is not text" in damaged(path, b"\x89PNG\r\n\x1a\n\x00\x00")
    assert "line 5, byte" in damaged(path, content + b"\xff\xfe")


def test_text_in_a_number_column_is_named(path: Path, content: bytes) -> None:
    assert "row 2, column 'score': 'much' is not a number" in damaged(path, content.replace(b",51.5,", b",much,"))
    assert "row 2, column 'eval_seed': '101.5' is not a whole number" in damaged(
        path, content.replace(b",101,", b",101.5,")
    )
    lines = content.splitlines(keepends=True)
    lines[2] = lines[2].replace(b",none,0.0,", b",none,,")
    assert "row 2, column 'eps': '' is not a number" in damaged(path, b"".join(lines))


def test_every_cut_through_a_row_is_found(path: Path, content: bytes) -> None:
    """Wherever the last row is cut, the sentence names it; between two rows the table is whole."""
    last = content.rindex(b"\n", 0, -1) + 1
    for end in range(last + 1, len(content)):
        assert "row 3, column" in damaged(path, content[:end])
    path.write_bytes(content[:last])
    assert len(results.read(path)) == 2


def test_a_row_with_too_many_fields_and_a_broken_quote_are_named(path: Path, content: bytes) -> None:
    lines = content.splitlines(keepends=True)
    extra = b"".join([*lines[:2], lines[2].rstrip() + b",1\n", lines[3]])
    assert "row 2, column 'flags': the row has 19 fields" in damaged(path, extra)
    quote = b"".join([*lines[:2], lines[2].replace(b"micro", b'"mi"cro'), lines[3]])
    assert "row 2: the quoting" in damaged(path, quote)


def test_values_are_checked_in_files_too(path: Path, content: bytes) -> None:
    assert "row 2, column 'return'" in damaged(path, content.replace(b",1030.0,", b",,"))
    assert "row 2, column 'length'" in damaged(path, content.replace(b",1030.0,1000,", b",1030.0,-1,"))


def test_windows_files_with_a_byte_order_mark_are_read(path: Path, content: bytes) -> None:
    good = results.read(path)
    path.write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert_frame_equal(results.read(path), good)


def test_the_sidecar_stands_beside_the_table(path: Path) -> None:
    results.write(table(episodes([1.0])), path, {"versions": {"numpy": "2"}, "out": Path("runs"), "wall_time": 1.5})
    about = json.loads(path.with_suffix(".json").read_text())
    assert about == {"versions": {"numpy": "2"}, "out": "runs", "wall_time": 1.5}
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["results.csv", "results.json"]


def test_a_sidecar_that_is_no_json_leaves_nothing_behind(path: Path) -> None:
    with pytest.raises(ValueError, match="sidecar"):
        results.write(table(episodes([1.0])), path, {"loss": math.nan})
    assert list(path.parent.iterdir()) == []


def test_append_makes_extends_and_never_doubles_or_replaces(path: Path) -> None:
    assert results.append(table(episodes([50.0, 51.0])), path) == 2
    first = path.read_bytes()
    again = table(episodes([99.0, 99.0, 52.0]))  # two known episodes with other outcomes, one new
    assert results.append(again, path) == 1
    assert path.read_bytes().startswith(first)
    assert results.read(path)["score"].tolist() == [50.0, 51.0, 52.0]
    assert results.append(again, path) == 0
    assert results.append(again.iloc[:0], path) == 0


def test_append_of_nothing_makes_an_empty_table(path: Path) -> None:
    assert results.append(table(episodes([1.0])).iloc[:0], path) == 0
    assert len(results.read(path)) == 0


def test_append_refuses_a_damaged_file_and_leaves_it_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content[:-5])
    with pytest.raises(ValueError, match="row 3"):
        results.append(table(episodes([1.0, 2.0, 3.0, 4.0])), path)
    assert path.read_bytes() == content[:-5]


def test_append_adds_to_what_another_writer_wrote_in_between(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results.append(table(episodes([1.0])), path)
    parse = parsing.parse

    def parse_while_another_writes(content: bytes, name: Path) -> pd.DataFrame:
        known = parse(content, name)
        monkeypatch.setattr(writer, "parse", parse)
        files.replace(path, path.read_bytes() + another)  # by somebody who does not ask for the lock
        return known

    another = parsing.lines(table(episodes([1.0, 2.0]))).splitlines(keepends=True)[1]
    monkeypatch.setattr(writer, "parse", parse_while_another_writes)
    assert results.append(table(episodes([1.0, 9.0, 3.0])), path) == 1
    assert results.read(path)["score"].tolist() == [1.0, 2.0, 3.0]


KILLED = """
import os, sys
import pandas as pd
from reports.rows import results
path, moment = sys.argv[1:]
def die(*_):
    os._exit(9)
setattr(os, moment, die)
frame = results.read(path)
results.append(frame.assign(eval_seed=frame["eval_seed"] + 10), path)
"""


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_appending_leaves_the_old_file_whole(path: Path, content: bytes, moment: str) -> None:
    """The process dies with the new bytes half-way to the disk, or on the disk but not yet renamed."""
    root = Path(reports.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), moment], cwd=root, check=False)
    assert done.returncode == 9
    assert path.read_bytes() == content
    frame = results.read(path)
    assert results.append(frame.assign(eval_seed=frame["eval_seed"] + 10), path) == 3
    assert len(results.read(path)) == 6


def test_an_error_while_writing_leaves_no_part_behind(
    path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        results.append(table(episodes([1.0, 2.0, 3.0, 4.0])), path)
    monkeypatch.undo()
    assert path.read_bytes() == content
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["results.csv", "results.json"]


def test_many_files_become_one_table(tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    results.write(table(episodes([1.0, 2.0])), one, {})
    results.write(table(episodes([1.0, 2.0, 3.0])), two, {})
    assert results.load_many([one, two])["score"].tolist() == [1.0, 2.0, 3.0]
    results.write(table(episodes([1.0, 7.0])), two, {})
    with pytest.raises(ValueError, match=r"disagree about episode 1 \(eval_seed 101\)"):
        results.load_many([one, two])
    with pytest.raises(ValueError, match="no results files"):
        results.load_many([])


def test_a_file_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        results.read(tmp_path / "none.csv")
