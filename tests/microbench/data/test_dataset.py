"""Statistics of logged transitions, and their tensors."""

import dataclasses

import numpy as np
import pytest
import torch

from microbench.data.dataset import Transitions, as_transitions
from tests.microbench.toys import CPU, dataset, transitions


def test_statistics_by_hand() -> None:
    data = dataclasses.replace(dataset(4), obs=np.array([[1, 5, 0], [3, 5, 0], [5, 5, 0], [7, 5, 12]], np.float32))
    assert data.obs_mean.tolist() == [4, 5, 3]
    assert data.obs_std.tolist() == pytest.approx([np.sqrt(5), 0, np.sqrt(27)])
    assert data.obs_range.tolist() == [6, 0, 12]
    assert data.obs_low.tolist() == [1, 5, 0]
    assert data.obs_mean.dtype == data.obs_std.dtype == data.obs_range.dtype == np.float32


def test_statistics_of_large_offsets_do_not_cancel() -> None:
    """In float32 sums, a million rows around 10,000 lose their spread."""
    obs = np.tile(np.array([[9999.0], [10001.0]], np.float32), (200_000, 1))
    data = dataclasses.replace(dataset(4), obs=obs)
    assert data.obs_mean.tolist() == [10_000]
    assert data.obs_std.tolist() == [1]


def test_datasets_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset(4).name = "other"  # type: ignore[misc]  # what is tested


def test_as_transitions() -> None:
    data = dataset(30)
    rows = as_transitions(data, CPU)
    assert len(rows) == len(data) == 30
    for tensor, array in (
        (rows.obs, data.obs),
        (rows.action, data.action),
        (rows.reward, data.reward),
        (rows.next_obs, data.next_obs),
        (rows.terminal, data.terminal),
    ):
        assert tensor.dtype == torch.float32
        assert np.array_equal(tensor.numpy(), array)


def test_rows_stay_together() -> None:
    rows = transitions(30)
    part = rows[torch.tensor([4, 2])]
    assert part.obs.equal(rows.obs[[4, 2]])
    assert part.terminal.equal(rows.terminal[[4, 2]])
    whole = Transitions.cat([rows[:10], rows[10:11], rows[11:]])
    for name in vars(rows):
        assert vars(whole)[name].equal(vars(rows)[name])


def test_samples_are_drawn_with_replacement_from_every_row() -> None:
    rows = transitions(10)
    drawn = rows.sample(1000, torch.Generator().manual_seed(0))
    places = (drawn.obs[:, None] == rows.obs).all(-1)
    assert (places.sum(1) == 1).all()
    counts = places.sum(0)
    assert counts.min() > 60
    assert counts.max() < 140
    again = rows.sample(1000, torch.Generator().manual_seed(0))
    assert again.reward.equal(drawn.reward)
    assert len(rows.sample(0, torch.Generator())) == 0
