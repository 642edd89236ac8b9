"""The D4RL layout: what is read back from what was written, and every way a file can be wrong."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from microbench.data.d4rl import file_sha256, finished_returns, read_d4rl, write_d4rl
from microbench.errors import UserError
from tests.microbench.data.d4rl_arrays import EPISODES, NEXT, OBS, REWARD, TERMINAL, TIMEOUT, arrays, stored
from tests.microbench.toys import one_line

REAL = Path(__file__).resolve().parents[4] / "shared" / "data"


def test_the_kinds_of_replay_files_give_the_same_rows(tmp_path: Path) -> None:
    plain = read_d4rl(stored(tmp_path), env_id="Hopper-v4")
    replay = {
        "observations": np.array(OBS, np.float64),
        "actions": arrays()["actions"].astype(np.float64),
        "rewards": np.array(REWARD, np.float64)[:, None],
        "terminals": np.array(TERMINAL, np.float64),
        "timeouts": np.array(TIMEOUT, np.float64)[:, None],
        "next_observations": np.array(NEXT, np.float64),
    }
    data = read_d4rl(stored(tmp_path, **replay), env_id="Hopper-v4")
    for name in ("obs", "action", "reward", "next_obs", "terminal", "timeout", "episode_returns"):
        one, other = getattr(plain, name), getattr(data, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert data.obs.dtype == data.reward.dtype == np.float32


def test_what_a_dataset_knows_of_its_file(tmp_path: Path) -> None:
    path = stored(tmp_path)
    data = read_d4rl(path, env_id="Hopper-v4")
    assert (data.name, data.env_id) == ("hopper_medium-v2", "Hopper-v4")
    assert data.sha256 == file_sha256(path)
    assert len(data.sha256) == 64
    assert read_d4rl(path, env_id="Hopper-v4", name="mine").name == "mine"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "missing key": ({"actions": None}, "lacks actions"),
    "unequal lengths": ({"rewards": np.zeros(7, np.float32)}, "unequal lengths .*observations 8.*rewards 7"),
    "flat observations": ({"observations": np.zeros(8, np.float32)}, r"'observations' .*shape \(8,\)"),
    "wide rewards": ({"rewards": np.zeros((8, 2), np.float32)}, r"'rewards' .*shape \(8, 2\)"),
    "a single number": ({"rewards": np.float32(1)}, r"'rewards' .*shape \(\)"),
    "text": ({"rewards": np.array([b"a"] * 8)}, "not an array of numbers"),
    "narrow next_observations": ({"next_observations": np.zeros((8, 1), np.float32)}, "expected the same shape"),
    "NaN": ({"rewards": np.array([1, 2, 3, np.nan, 5, np.nan, 7, 8], np.float32)}, "'rewards' .*in row 3;"),
    "infinite": ({"observations": np.array([*OBS[:6], [0, np.inf], OBS[7]], np.float32)}, "in row 6;"),
    "too large for float32": ({"rewards": np.array([0, 0, 1e39, 0, 0, 0, 0, 0])}, "'rewards' .*in row 2;"),
    "one row": ({key: value[:1] for key, value in arrays().items()}, "no usable transition in 1 row"),
    "no rows": ({key: value[:0] for key, value in arrays().items()}, "no usable transition in 0 rows"),
    "cut at every row": ({"timeouts": np.ones(8, bool)}, "no usable transition in 8 rows"),
}


@pytest.mark.parametrize(("changes", "words"), WRONG.values(), ids=WRONG.keys())
def test_damaged_files_are_told_in_one_sentence(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words) as caught:
        read_d4rl(stored(tmp_path, **changes), env_id="Hopper-v4")
    assert one_line(caught.value)


def test_a_group_is_not_an_array(tmp_path: Path) -> None:
    path = stored(tmp_path, rewards=None)
    with h5py.File(path, "a") as file:
        file.create_group("rewards")
    with pytest.raises(UserError, match="not an array of numbers"):
        read_d4rl(path, env_id="Hopper-v4")


@pytest.mark.parametrize("size", [0, 40, 2000])
def test_truncated_file(size: int, tmp_path: Path) -> None:
    path = stored(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="cannot be read as hdf5") as caught:
        read_d4rl(path, env_id="Hopper-v4")
    assert one_line(caught.value)


def test_damage_inside_the_data(tmp_path: Path) -> None:
    path = tmp_path / "hopper.hdf5"
    with h5py.File(path, "w") as file:
        for key, value in arrays().items():
            file.create_dataset(key, data=value, compression="gzip", fletcher32=True)
        place = file["rewards"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 4] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as hdf5") as caught:
        read_d4rl(path, env_id="Hopper-v4")
    assert one_line(caught.value)


def test_missing_file_and_unknown_convention(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file") as caught:
        read_d4rl(tmp_path / "none.hdf5", env_id="Hopper-v4")
    assert one_line(caught.value)
    with pytest.raises(UserError, match=r"'fast'.*known are qlearning, reference, strict") as caught:
        read_d4rl(stored(tmp_path), env_id="Hopper-v4", rows="fast")
    assert one_line(caught.value)


def test_finished_returns() -> None:
    reward = np.array([1, 2, 4, 8, 16], np.float32)
    assert finished_returns(reward, np.array([0, 1, 0, 1, 0], bool)).tolist() == [3, 12]
    assert finished_returns(reward, np.array([1, 1, 0, 0, 1], bool)).tolist() == [1, 2, 28]
    assert finished_returns(reward, np.zeros(5, bool)).tolist() == []


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "toy.hdf5"
    write_d4rl(path, EPISODES, {"algorithm": "SAC", "seed": 3})
    data = read_d4rl(path, env_id="Toy-v0", rows="strict")
    for name, key, rows in (
        ("obs", "observations", slice(None, -1)),
        ("next_obs", "observations", slice(1, None)),
        ("action", "actions", slice(None)),
        ("reward", "rewards", slice(None)),
    ):
        assert np.array_equal(getattr(data, name), np.concatenate([episode[key][rows] for episode in EPISODES]))
    assert np.flatnonzero(data.terminal).tolist() == [3, 11]
    assert np.flatnonzero(data.timeout).tolist() == [4]
    assert data.episode_returns == pytest.approx([float(e["rewards"].sum(dtype=np.float64)) for e in EPISODES])
    with h5py.File(path, "r") as file:
        assert file["metadata/algorithm"].asstr()[()] == "SAC"
        assert file["metadata/seed"][()] == 3


def test_observations_are_stored_once(tmp_path: Path) -> None:
    """`observations` and `next_observations` are views of 15 states, which any reader sees as ordinary arrays."""
    path = tmp_path / "toy.hdf5"
    write_d4rl(path, EPISODES, {})
    with h5py.File(path, "r") as file:
        assert file["infos/states"].shape == (4 + 1 + 1 + 1 + 7 + 1, 3)
        assert file["observations"].is_virtual
        assert file["next_observations"].is_virtual
        assert file["observations"].shape == file["next_observations"].shape == (12, 3)
        assert file["observations"].dtype == np.float32


def test_more_episodes_than_a_view_may_have_parts_are_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "views.hdf5", tmp_path / "plain.hdf5"]
    write_d4rl(paths[0], EPISODES, {})
    monkeypatch.setattr("microbench.data.d4rl.MOST_VIEWS", len(EPISODES) - 1)
    write_d4rl(paths[1], EPISODES, {})
    views, plain = (read_d4rl(path, env_id="Toy-v0", rows="strict") for path in paths)
    assert np.array_equal(views.obs, plain.obs)
    assert np.array_equal(views.next_obs, plain.next_obs)
    with h5py.File(paths[1], "r") as file:
        assert not file["observations"].is_virtual


def test_a_written_file_can_be_moved(tmp_path: Path) -> None:
    """The views refer to the file they are in, not to the path it was written at."""
    path, moved = tmp_path / "toy.hdf5", tmp_path / "elsewhere.hdf5"
    write_d4rl(path, EPISODES, {})
    before = read_d4rl(path, env_id="Toy-v0", rows="strict")
    path.rename(moved)
    after = read_d4rl(moved, env_id="Toy-v0", rows="strict")
    assert np.array_equal(before.obs, after.obs)
    assert after.obs.any(1).all()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "toy.hdf5"
    path.write_bytes(b"old")
    with pytest.raises(KeyError):
        write_d4rl(path, [{key: value for key, value in EPISODES[0].items() if key != "actions"}], {})
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("path", sorted(REAL.glob("*.hdf5")) or [None], ids=lambda path: path.stem if path else "none")
def test_real_files(path: Path | None) -> None:
    """Files in D4RL's layout that others made, where they are at hand."""
    if path is None:
        pytest.skip("no real files beside the repository")
    with h5py.File(path, "r") as file:
        obs = np.asarray(file["observations"][()])
        terminal, timeout = (np.asarray(file[key][()], bool) for key in ("terminals", "timeouts"))
        following = np.asarray(file["next_observations"][()]) if "next_observations" in file else None
    qlearning, strict = (read_d4rl(path, env_id="Any-v0", rows=rows) for rows in ("qlearning", "strict"))
    assert len(qlearning) == int((~timeout[:-1]).sum())
    assert np.array_equal(qlearning.obs, obs[:-1][~timeout[:-1]])
    assert np.array_equal(qlearning.next_obs, obs[1:][~timeout[:-1]])
    if following is not None:
        assert np.array_equal(strict.next_obs, following)
        inside = ~(strict.terminal | strict.timeout)[:-1]
        assert np.array_equal(strict.next_obs[:-1][inside], strict.obs[1:][inside])
    assert len(strict.episode_returns) == len(qlearning.episode_returns) == int((terminal | timeout).sum())
