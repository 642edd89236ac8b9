"""Conventions of transitions: each equals a loop that states it, and eight rows by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from microbench.data.d4rl import read_d4rl
from microbench.data.dataset import Dataset
from microbench.data.sources import load_dataset
from tests.microbench.data.d4rl_arrays import NEXT, OBS, TERMINAL, arrays, stored

LIMIT = 7
Row = tuple[float, float, bool]  # obs, next_obs, terminal


def loop_of_reference(file: dict[str, Any], limit: int) -> list[Row]:
    """OfflineRL-Kit's rule, stated row by row: skip cuts; without recorded successors skip falls, too."""
    rows, step, recorded = [], 0, "next_observations" in file
    for i in range(len(file["rewards"]) - 1):
        fell = bool(file["terminals"][i])
        cut = bool(file["timeouts"][i]) if "timeouts" in file else step == limit - 1
        if cut:
            step = 0
            continue
        if fell:
            step = 0
            if not recorded:
                continue
        successor = file["next_observations"][i] if recorded else file["observations"][i + 1]
        rows.append((float(file["observations"][i, 0]), float(successor[0]), fell))
        step += 1
    return rows


def loop_of_qlearning(file: dict[str, Any], limit: int) -> list[Row]:
    """D4RL's rule: skip cuts, and take every successor from the next row."""
    rows, step = [], 0
    for i in range(len(file["rewards"]) - 1):
        fell = bool(file["terminals"][i])
        if bool(file["timeouts"][i]) if "timeouts" in file else step == limit - 1:
            step = 0
            continue
        step = 0 if fell else step
        rows.append((float(file["observations"][i, 0]), float(file["observations"][i + 1, 0]), fell))
        step += 1
    return rows


def rows_of(data: Dataset) -> list[Row]:
    return list(zip(data.obs[:, 0].tolist(), data.next_obs[:, 0].tolist(), data.terminal.tolist(), strict=True))


def episodes(lengths: list[int], falls: list[bool], tail: int) -> dict[str, npt.NDArray[Any]]:
    """Episodes of these lengths and an unfinished one; successors of ends stand nowhere but in next_observations."""
    total = sum(lengths) + tail
    obs = np.arange(total, dtype=np.float32)[:, None].repeat(2, 1)
    following, terminal, timeout = obs + 1, np.zeros(total, bool), np.zeros(total, bool)
    for end, fell in zip(np.cumsum(lengths) - 1, falls, strict=True):
        terminal[end], timeout[end] = fell, not fell
        following[end] = -obs[end] - 0.5
    return {
        "observations": obs,
        "actions": np.zeros((total, 1), np.float32),
        "rewards": np.ones(total, np.float32),
        "terminals": terminal,
        "timeouts": timeout,
        "next_observations": following,
    }


FILES = {
    "falls and cuts": episodes(
        [3, LIMIT, LIMIT, 2, LIMIT, 1, LIMIT], [True, False, False, True, False, True, False], 4
    ),
    "ends at the last row": episodes([LIMIT, 3], [False, True], 0),
    "only cuts": episodes([LIMIT] * 3, [False] * 3, LIMIT - 1),
    "only falls": episodes([2, 5, 1, 1], [True] * 4, 2),
    "a fall at the limit": episodes([LIMIT, LIMIT, LIMIT], [True, False, True], 3),
    "no end": episodes([], [], 5),
}


def written(folder: Path, file: dict[str, Any], *without: str) -> tuple[Path, dict[str, Any]]:
    kept = {key: value for key, value in file.items() if key not in without}
    path = folder / "hopper.hdf5"
    with h5py.File(path, "w") as stored_file:
        for key, value in kept.items():
            stored_file[key] = value
    return path, kept


@pytest.mark.parametrize("without", [(), ("next_observations",), ("timeouts",), ("next_observations", "timeouts")])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("rows", "loop"), [("reference", loop_of_reference), ("qlearning", loop_of_qlearning)])
def test_rows_are_those_of_the_loop(
    rows: str,
    loop: Callable[[dict[str, Any], int], list[Row]],
    name: str,
    without: tuple[str, ...],
    tmp_path: Path,
) -> None:
    path, file = written(tmp_path, FILES[name], *without)
    assert rows_of(read_d4rl(path, env_id="Toy-v0", rows=rows, limit=LIMIT)) == loop(file, LIMIT)


RENAMED = {
    "Gymnasium's": {"terminals": "terminations", "timeouts": "truncations"},
    "a mixture": {"timeouts": "truncations"},
}


@pytest.mark.parametrize("names", RENAMED.values(), ids=RENAMED.keys())
@pytest.mark.parametrize("without", [(), ("next_observations",)])
def test_other_names_of_the_flags_give_the_same_rows(
    names: dict[str, str], without: tuple[str, ...], tmp_path: Path
) -> None:
    file = FILES["falls and cuts"]
    renamed = {names.get(key, key): value for key, value in file.items()}
    path, _ = written(tmp_path, renamed, *without)
    data = read_d4rl(path, env_id="Toy-v0", limit=1000)
    assert rows_of(data) == loop_of_reference({k: v for k, v in file.items() if k not in without}, LIMIT)


@pytest.mark.parametrize("name", ["episode_terminals", "dones"])
def test_flags_of_every_end_give_the_same_rows(name: str, tmp_path: Path) -> None:
    """d3rlpy's files mark every end, and the falls among them once more."""
    file = FILES["falls and cuts"]
    ends = {name: (file["terminals"] | file["timeouts"]).astype(np.float32)}
    path, _ = written(tmp_path, file | ends, "timeouts")
    data = read_d4rl(path, env_id="Toy-v0", limit=1000)
    assert rows_of(data) == loop_of_reference(file, LIMIT)
    assert data.episode_returns.tolist() == [3, 7, 7, 2, 7, 1, 7]


def test_rows_of_the_reference_by_hand(tmp_path: Path) -> None:
    """The cut row 4 and the last row are gone; falls keep the state in which the robot lay."""
    data = read_d4rl(stored(tmp_path), env_id="Hopper-v4")
    assert data.rows == "reference"
    assert data.obs.tolist() == [OBS[row] for row in (0, 1, 2, 3, 5, 6)]
    assert data.next_obs.tolist() == [NEXT[row] for row in (0, 1, 2, 3, 5, 6)]
    assert data.reward.tolist() == [1, 2, 3, 4, 6, 7]
    assert data.action[:, 0].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.5, 0.6])
    assert data.terminal.tolist() == [False, True, False, False, True, False]
    assert not data.timeout.any()
    assert data.episode_returns.tolist() == [3, 12, 6]  # the tail of 7 + 8 never ended


@pytest.mark.parametrize("rows", ["reference", "strict"])
def test_without_recorded_successors_no_row_leads_into_another_episode(rows: str, tmp_path: Path) -> None:
    data = read_d4rl(stored(tmp_path, next_observations=None), env_id="Hopper-v4", rows=rows)
    assert data.obs.tolist() == [OBS[row] for row in (0, 2, 3, 6)]
    assert data.next_obs.tolist() == [OBS[row] for row in (1, 3, 4, 7)]
    assert "its 2 terminations are not among the transitions" in data.remarks[0]


def test_strict_rows_are_all_that_have_a_successor(tmp_path: Path) -> None:
    data = read_d4rl(stored(tmp_path), env_id="Hopper-v4", rows="strict")
    assert data.obs.tolist() == OBS
    assert data.next_obs.tolist() == NEXT
    assert data.terminal.tolist() == [bool(flag) for flag in TERMINAL]
    assert data.timeout.tolist() == [bool(flag) for flag in arrays()["timeouts"]]
    assert data.episode_returns.tolist() == [3, 12, 6]


def test_a_row_both_fallen_and_cut_is_kept_by_strict_only(tmp_path: Path) -> None:
    both = {"timeouts": np.array([0, 1, 0, 0, 1, 0, 0, 0], bool)}
    assert len(read_d4rl(stored(tmp_path, **both), env_id="Hopper-v4")) == 5
    strict = read_d4rl(stored(tmp_path, **both), env_id="Hopper-v4", rows="strict")
    assert strict.terminal[1]
    assert strict.timeout[1]
    assert strict.episode_returns.tolist() == [3, 12, 6]


def test_the_older_name_of_d4rls_rows_is_understood(tmp_path: Path) -> None:
    old, new = (read_d4rl(stored(tmp_path), env_id="Hopper-v4", rows=rows) for rows in ("d4rl", "qlearning"))
    assert old.rows == new.rows == "qlearning"
    assert rows_of(old) == rows_of(new)


def test_steps_are_counted_to_the_limit_of_the_files_task(tmp_path: Path) -> None:
    """Of 2500 rows without a mark, two episodes of HalfCheetah's 1000 steps are over."""
    rng = np.random.default_rng(0)
    file = {
        "observations": rng.normal(size=(2500, 17)).astype(np.float32),
        "actions": rng.normal(size=(2500, 6)).astype(np.float32),
        "rewards": np.ones(2500, np.float32),
        "terminals": np.zeros(2500, bool),
    }
    path = written(tmp_path, file)[0].rename(tmp_path / "halfcheetah_random-v0.hdf5")
    data = load_dataset(str(path))
    assert len(data) == 2497
    assert data.episode_returns.tolist() == [1000, 1000]
    assert "episodes end after the 1000 steps of HalfCheetah-v4" in data.remarks[0]
