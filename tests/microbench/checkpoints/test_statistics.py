"""Statistics of observations: from datasets by file and by name, from runs, and never from outside a file."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from microbench.checkpoints.statistics import read_statistics
from microbench.data.d4rl import write_d4rl
from microbench.data.sources import DEFAULT_DATASET, bundled_file, load_dataset
from microbench.errors import UserError
from microbench.evaluation.workers.sent import STATS, policy_files
from tests.microbench.data.d4rl_arrays import EPISODES
from tests.microbench.small_run import policy_bytes


def test_the_bundled_dataset_by_name_and_by_file_is_what_training_reads() -> None:
    data = load_dataset(DEFAULT_DATASET)
    with bundled_file(DEFAULT_DATASET) as path:
        by_file = read_statistics(path)
    for stats in (by_file, read_statistics(Path(DEFAULT_DATASET))):
        torch.testing.assert_close(stats.mean, torch.from_numpy(data.obs_mean))
        torch.testing.assert_close(stats.std, torch.from_numpy(data.obs_std))
        assert stats.bounds is not None
        assert stats.bounds[0].equal(torch.from_numpy(data.obs_low))
        assert not stats.policy


def test_a_file_of_collect_is_read_though_its_observations_are_views(tmp_path: Path) -> None:
    write_d4rl(tmp_path / "mine.hdf5", EPISODES, {})
    obs = np.concatenate([episode["observations"][:-1] for episode in EPISODES]).astype(np.float64)
    stats = read_statistics(tmp_path / "mine.hdf5")
    assert stats.mean.tolist() == pytest.approx(obs.mean(0).tolist(), abs=1e-6)
    assert stats.std.tolist() == pytest.approx(obs.std(0).tolist(), abs=1e-6)


def test_a_run_and_its_policy_stand_for_their_dataset(tmp_path: Path) -> None:
    content = policy_bytes()
    path = tmp_path / "policy.safetensors"
    path.write_bytes(content)
    obs = np.random.default_rng(0).normal(size=(50, 11)).astype(np.float32)
    for place in (tmp_path, path):
        stats = read_statistics(place)
        assert stats.mean.tolist() == pytest.approx(obs.mean(0).tolist(), abs=1e-6)
        assert stats.std.tolist() == pytest.approx(obs.std(0).tolist(), abs=1e-6)
        assert stats.bounds is not None
        assert stats.bounds[1].tolist() == pytest.approx(obs.max(0).tolist(), abs=1e-6)


def test_a_folder_without_a_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no policy file"):
        read_statistics(tmp_path)


@pytest.mark.parametrize("how", ["view", "link", "storage"])
def test_observations_of_another_file_are_refused(how: str, tmp_path: Path) -> None:
    secret, path = tmp_path / "secret.hdf5", tmp_path / "given.hdf5"
    with h5py.File(secret, "w") as file:
        file["observations"] = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    with h5py.File(path, "w") as file:
        if how == "view":
            layout = h5py.VirtualLayout((9, 2), np.float32)
            layout[:] = h5py.VirtualSource(str(secret), "observations", (9, 2), np.float32)
            file.create_virtual_dataset("observations", layout)
        elif how == "link":
            file["observations"] = h5py.ExternalLink(str(secret), "/observations")
        else:
            file.create_dataset("observations", (9, 2), np.float32, external=[(str(secret), 0, 72)])
    with pytest.raises(UserError, match=r"given\.hdf5"):
        read_statistics(path)


def test_a_run_goes_along_to_workers_that_share_no_disk(tmp_path: Path) -> None:
    from microbench.checkpoints.record import Overrides, Source

    run = tmp_path / "run"
    run.mkdir()
    (run / "policy.safetensors").write_bytes(policy_bytes())
    policy = tmp_path / "foreign.pth"
    policy.write_bytes(b"weights")
    source = Source(path=str(policy), file_sha256="", identity="", overrides=Overrides(obs_stats=run))
    assert dict(policy_files(source))[STATS] == (run / "policy.safetensors").read_bytes()
