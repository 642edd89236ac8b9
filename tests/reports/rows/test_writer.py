"""Writing chunk by chunk: cheap, and yet no reader, rival or kill ever sees or causes a wrong file."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from reports import files
from reports.rows import results, writer
from reports.rows.parsing import ALWAYS, header, lines
from reports.rows.schema import KEY
from reports.rows.writer import Writer, move_last
from tests.reports.toys import episodes, table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


def rows(*scores: float, first: int = 0) -> pd.DataFrame:
    """Episodes `first`, `first` + 1, … with these scores."""
    frame = table(episodes([0.0] * first + list(scores)))
    return frame.iloc[first:]


def scores(path: Path) -> list[float]:
    values: list[float] = results.read(path)["score"].tolist()
    return values


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes were parsed each time."""
    sizes: list[int] = []
    parse = writer.__dict__["parse"]

    def counted(content: bytes, name: Path) -> pd.DataFrame:
        sizes.append(len(content))
        frame: pd.DataFrame = parse(content, name)
        return frame

    monkeypatch.setattr(writer, "parse", counted)
    return sizes


def test_the_file_is_read_once(path: Path, parsed: list[int]) -> None:
    results.append(rows(1.0, 2.0), path)
    parsed.clear()
    with Writer(path, every=0) as into:
        for number in range(2, 6):
            into.put(rows(float(number + 1), first=number))
            assert scores(path) == [float(n) for n in range(1, number + 2)]
    assert len(parsed) == 1


def test_old_rows_keep_their_bytes_and_the_files_own_columns(path: Path) -> None:
    """A foreign file: other order of columns, other spelling of numbers, Windows line ends."""
    frame = rows(1.0, 2.0)
    old = frame[list(frame.columns[::-1])].to_csv(index=False, lineterminator="\r\n").replace("0.0,", "0.000,").encode()
    path.write_bytes(old)
    with Writer(path) as into:
        into.put(rows(3.0, first=2))
    assert path.read_bytes().startswith(old)
    assert scores(path) == [1.0, 2.0, 3.0]
    assert results.append(rows(9.0, 4.0, first=2), path) == 1
    assert path.read_bytes().startswith(old)
    assert scores(path) == [1.0, 2.0, 3.0, 4.0]


def test_the_same_episodes_are_replaced_when_the_new_ones_are_there(path: Path) -> None:
    results.append(rows(1.0, 2.0, 3.0), path)
    with Writer(path, every=60) as into:
        into.put(rows(8.0, first=1))  # the first one at once
        assert scores(path) == [1.0, 3.0, 8.0]
        into.put(rows(7.0, 9.0))
        assert scores(path) == [1.0, 3.0, 8.0]
    assert scores(path) == [3.0, 7.0, 9.0]


def test_rows_that_come_quickly_are_written_together_and_soon(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[float] = []
    replace = files.replace

    def counted(name: Path, content: bytes) -> None:
        writes.append(time.monotonic())
        replace(name, content)

    monkeypatch.setattr(files, "replace", counted)
    with Writer(path, every=0.2) as into:
        for number in range(20):
            into.put(rows(float(number), first=number))
        assert len(writes) < 20
        wait_until(lambda: len(scores(path)) == 20)  # nobody puts or closes meanwhile
        before = len(writes)
    assert len(writes) == before


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_leaving_in_a_hurry_writes_what_is_waiting(path: Path, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with Writer(path, every=60) as into:
            into.put(rows(1.0))
            into.put(rows(2.0, first=1))
            raise error

    with pytest.raises(error):
        interrupted()
    assert scores(path) == [1.0, 2.0]


def test_rows_of_somebody_else_stay(path: Path, parsed: list[int]) -> None:
    with Writer(path, every=0) as into:
        into.put(rows(1.0))
        assert len(parsed) == 1
        results.append(rows(5.0, first=7), path)
        parsed.clear()
        into.put(rows(2.0, first=1))
        assert len(parsed) == 1
    assert scores(path) == [1.0, 5.0, 2.0]


def test_two_writers_at_once_lose_nothing(path: Path) -> None:
    """Without the lock, one of the two reads before and renames after the other, and rows are gone."""

    def add(first: int) -> None:
        with Writer(path, every=0) as into:
            for number in range(first, first + 40, 2):
                into.put(rows(float(number), first=number))

    threads = [threading.Thread(target=add, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(scores(path)) == [float(number) for number in range(40)]


def test_a_full_disk_is_told_and_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    into = Writer(path, every=0.05)
    into.put(rows(1.0))
    with monkeypatch.context() as patch:
        patch.setattr(files, "replace", full)
        into.put(rows(2.0, first=1))
        wait_until(lambda: into._timer is None)  # it failed where nobody listens
        with pytest.raises(OSError, match="No space left"):
            into.put(rows(3.0, first=2))
    assert scores(path) == [1.0]
    into.close()
    assert scores(path) == [1.0, 2.0, 3.0]


def test_a_damaged_file_is_told_before_anything_is_written(path: Path) -> None:
    path.write_bytes(b"not,a,table\n")
    with pytest.raises(ValueError, match=r"results\.csv: .*column 'algorithm' is missing"):
        Writer(path)
    assert path.read_bytes() == b"not,a,table\n"


def test_planned_rows_go_last_in_their_order_with_their_bytes(path: Path) -> None:
    results.append(rows(1.0, 2.0, 3.0, 4.0), path)
    before = path.read_bytes().splitlines()
    planned = rows(1.0, 2.0, 3.0, 4.0).iloc[[3, 0]][list(KEY)]
    move_last(planned, path)
    assert path.read_bytes().splitlines() == [before[number] for number in (0, 2, 3, 4, 1)]
    with pytest.raises(ValueError, match=r"results\.csv lost rows.*--resume"):
        move_last(rows(9.0, first=9)[list(KEY)], path)


def test_labels_do_not_make_another_episode(path: Path) -> None:
    frame = rows(1.0).assign(train_seed=pd.array([None], dtype="Int64"))
    results.append(frame, path)
    assert results.append(frame, path) == 0
    renamed = frame.assign(train_seed=pd.array([0], dtype="Int64"), algorithm="sac", dataset="", episode=7)
    assert results.append(renamed, path) == 0
    assert results.append(frame.assign(checkpoint="b" * 64), path) == 1
    assert results.append(frame.assign(task="another"), path) == 1


def test_labels_stand_in_for_a_policy_file_that_nobody_knows(path: Path) -> None:
    frame = rows(1.0).assign(checkpoint="")
    results.append(frame, path)
    assert results.append(frame, path) == 0
    assert results.append(frame.assign(algorithm="sac"), path) == 1
    assert results.append(frame.assign(train_seed=pd.array([None], dtype="Int64")), path) == 1


def test_a_table_without_the_optional_columns_gets_them_when_they_are_needed(path: Path) -> None:
    frame = rows(1.0, 2.0)
    old = frame[list(ALWAYS)].to_csv(index=False, lineterminator="\r\n").encode()
    path.write_bytes(old)
    with Writer(path) as into:
        into.put(rows(3.0, first=2).assign(attack_files="f" * 64))
    first, *others = path.read_bytes().splitlines()
    assert first == old.splitlines()[0] + b",attack_files"
    assert others[:2] == [line + b"," for line in old.splitlines()[1:]]
    assert results.read(path)["attack_files"].tolist() == ["", "", "f" * 64]
    with Writer(path) as into:
        into.put(rows(4.0, first=3).assign(recipe="r"))
    assert results.read(path)["recipe"].tolist() == ["", "", "", "r"]
    assert results.read(path)["attack_files"].tolist() == ["", "", "f" * 64, ""]
    assert scores(path) == [1.0, 2.0, 3.0, 4.0]


def test_several_rows_of_one_episode_in_an_old_file_stay_until_it_is_measured_again(path: Path) -> None:
    """Seeds 100 and 101 with two episodes each, when the number of an episode was thought to identify it."""
    first, second = rows(1.0, 2.0), rows(2.0, 3.0).assign(eval_seed=[101, 102])
    old = header() + lines(pd.concat([first, second], ignore_index=True))
    path.write_bytes(old)
    with Writer(path) as into:
        into.put(rows(9.0).assign(eval_seed=103))
    assert path.read_bytes().splitlines()[:5] == [old.splitlines()[place] for place in (0, 1, 2, 3, 4)]
    with Writer(path) as into:
        into.put(rows(2.5).assign(eval_seed=101))
    assert sorted(scores(path)) == [1.0, 2.5, 3.0, 9.0]
