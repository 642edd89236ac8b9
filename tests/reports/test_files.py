"""Whole files or nothing, whatever somebody planted beside them."""

import os
from pathlib import Path

import pytest

from reports import files


def test_a_file_is_replaced_with_the_mode_of_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.csv"
    files.replace(path, b"one")
    files.replace(path, b"two")
    (tmp_path / "plain").touch()
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert [one.name for one in path.parent.iterdir()] == ["a.csv"]


def test_a_planted_link_is_never_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the hidden name is known: what exists is not opened, and the other file stays as it is."""
    monkeypatch.setattr("secrets.token_hex", lambda n: "0" * 2 * n)
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    (tmp_path / f".a.csv.{'0' * 16}.part").symlink_to(theirs)
    with pytest.raises(FileExistsError):
        files.replace(tmp_path / "a.csv", b"ours")
    assert theirs.read_bytes() == b"theirs"
    assert not (tmp_path / "a.csv").exists()


def test_names_beside_a_file_differ(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "a") as one, files.replacing(tmp_path / "a") as other:
        assert one != other


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path) -> None:
    theirs, path = tmp_path / "theirs", tmp_path / "a.csv"
    theirs.write_bytes(b"theirs")
    path.symlink_to(theirs)
    files.replace(path, b"ours")
    assert (path.is_symlink(), path.read_bytes(), theirs.read_bytes()) == (False, b"ours", b"theirs")


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def interrupted() -> None:
        with files.replacing(tmp_path / "a", ".part.mp4") as part:
            assert part.name.endswith(".part.mp4")
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_long_names_leave_room_for_the_hidden_one(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 120 + ".csv")  # 244 of 255 bytes
    files.replace(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_path_that_is_no_text_is_written(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.csv")
    files.replace(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_link_to_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files.link(tmp_path / "latest", name)
    assert os.readlink(tmp_path / "latest") == "b"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b", "latest"]
