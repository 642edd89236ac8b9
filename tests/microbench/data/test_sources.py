"""Names and paths of datasets, and the one that ships with the package."""

import shutil
from functools import cache
from importlib import resources
from pathlib import Path

import h5py
import numpy as np
import pytest

from microbench.data.dataset import Dataset
from microbench.data.sources import BUNDLED, DEFAULT_DATASET, bundled_file, dataset_name, load_dataset
from microbench.errors import UserError
from microbench.tasks import find_task, normalized_score
from tests.microbench.toys import one_line

FILES = resources.files("microbench.data") / "files"


@cache
def bundled(name: str) -> Dataset:
    return load_dataset(name)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("hopper_medium-v2", "hopper-medium-v2"),
        ("hopper_medium_replay-v2", "hopper-medium-replay-v2"),
        ("halfcheetah_medium_expert-v2", "halfcheetah-medium-expert-v2"),
        ("walker2d-full_replay-v0", "walker2d-full-replay-v0"),
        ("hopper_mine-v2", "hopper_mine-v2"),
        ("my_data", "my_data"),
    ],
)
def test_dataset_name(file: str, name: str) -> None:
    assert dataset_name(Path("somewhere") / f"{file}.hdf5") == name


@pytest.mark.parametrize(
    ("file", "env_id"),
    [
        ("hopper_medium-v2.hdf5", "Hopper-v4"),
        ("halfcheetah-random-v2.hdf5", "HalfCheetah-v4"),
        ("Walker2d_mine.h5", "Walker2d-v4"),
    ],
)
def test_the_task_follows_from_the_files_name(file: str, env_id: str, tmp_path: Path) -> None:
    shutil.copy(str(FILES / BUNDLED[DEFAULT_DATASET].file), tmp_path / file)
    assert load_dataset(str(tmp_path / file)).env_id == env_id
    assert load_dataset(str(tmp_path / file), env_id="Ant-v4").env_id == "Ant-v4"


def test_a_task_that_follows_from_no_name_must_be_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.hdf5"
    shutil.copy(str(FILES / BUNDLED[DEFAULT_DATASET].file), path)
    with pytest.raises(UserError, match="give the task with --env") as caught:
        load_dataset(str(path))
    assert one_line(caught.value)
    assert load_dataset(str(path), env_id="Hopper-v4").name == "mine"


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=f"did you mean '{DEFAULT_DATASET}'") as caught:
        load_dataset("hopper-medium-replay-v0")
    assert one_line(caught.value)


def test_a_missing_file() -> None:
    with pytest.raises(UserError, match="there is no file") as caught:
        load_dataset("hopper_medium-v2.hdf5")
    assert one_line(caught.value)


def test_the_default_is_bundled() -> None:
    assert DEFAULT_DATASET in BUNDLED


def test_rows_of_a_bundled_dataset_are_strict_unless_asked() -> None:
    strict, reference = bundled(DEFAULT_DATASET), load_dataset(DEFAULT_DATASET, rows="reference")
    assert (strict.rows, reference.rows) == ("strict", "reference")
    assert len(reference) == len(strict) - int(strict.timeout[:-1].sum()) - 1


def test_the_bundled_file_has_the_references_rows_when_it_is_given_as_a_file() -> None:
    """Every successor of a fall is a fallen state, and no other is."""
    with bundled_file(DEFAULT_DATASET) as path:
        data = load_dataset(str(path))
    assert data.rows == "reference"
    fallen = find_task(data.env_id).imagined_terminal(data.next_obs)
    assert fallen[data.terminal].mean() == 1.0
    assert not fallen[~data.terminal].any()
    assert not data.remarks


def test_another_task_than_the_datasets_own_is_refused() -> None:
    assert load_dataset(DEFAULT_DATASET, env_id="Hopper-v4").env_id == "Hopper-v4"
    with pytest.raises(UserError, match=r"a dataset of Hopper-v4, not of Walker2d-v4; leave --env out"):
        load_dataset(DEFAULT_DATASET, env_id="Walker2d-v4")


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_files(name: str) -> None:
    record, data = BUNDLED[name], bundled(name)
    task = find_task(record.env_id)
    with resources.as_file(FILES / record.file) as path:
        assert path.stat().st_size <= 8_000_000
    assert (data.name, data.env_id) == (name, record.env_id)
    assert len(data) > 10_000
    assert data.obs.shape == data.next_obs.shape == (len(data), task.obs_size)
    assert data.action.shape == (len(data), task.action_size)
    for statistic in (data.obs_mean, data.obs_std, data.obs_range):
        assert np.isfinite(statistic).all()
    assert (data.obs_std > 0).all()
    assert (np.abs(data.action) <= 1).all()


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_rows_are_whole_episodes(name: str) -> None:
    """Inside an episode each row's next_obs is the next row's obs; the last row of the file ends one."""
    data = bundled(name)
    last = data.terminal | data.timeout
    inside = ~last[:-1]
    assert np.array_equal(data.next_obs[:-1][inside], data.obs[1:][inside])
    ends = last[:-1]
    assert not (data.next_obs[:-1][ends] == data.obs[1:][ends]).all(1).any()
    assert last[-1]
    assert not (data.terminal & data.timeout).any()
    assert len(data.episode_returns) == last.sum()
    assert data.episode_returns.sum() == pytest.approx(data.reward.sum(dtype=np.float64))
    lengths = np.diff(np.flatnonzero(np.concatenate([[True], last])))
    assert lengths.max() <= find_task(data.env_id).horizon


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_episodes_end_where_the_task_says_so(name: str) -> None:
    """The imagined rule of the task, on real rows: it must see every fall, and none elsewhere."""
    data = bundled(name)
    falls = find_task(data.env_id).imagined_terminal(data.next_obs)
    assert np.array_equal(falls, data.terminal)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_scores_are_those_of_a_replay_buffer(name: str) -> None:
    """From random to medium, with room above: a mean near random, a best episode far from it, none expert."""
    data = bundled(name)
    scores = normalized_score(find_task(data.env_id), data.episode_returns)
    assert np.isfinite(scores).all()
    assert scores.min() > -5
    assert scores.mean() < scores[-20:].mean()
    assert 20 < scores.max() < 100


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_files_say_where_they_come_from(name: str) -> None:
    record = BUNDLED[name]
    assert "locally generated" in record.about
    with resources.as_file(FILES / record.file) as path, h5py.File(path, "r") as file:
        about = file["metadata"]
        assert about["algorithm"].asstr()[()] == "SAC"
        assert about["env_id"].asstr()[()] == record.env_id
        assert about["command"].asstr()[()].startswith("microbench collect ")
        assert {"torch", "mujoco", "gymnasium", "numpy", "microbench"} <= set(about["versions"])
