import numpy as np
import pytest
import torch

from attacks import Noise


def test_a_row_is_the_stream_of_its_seed() -> None:
    drawn = Noise.from_seeds([7, 11]).uniform(3, 2)
    expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence((11, 1)))).random(6, dtype=np.float32)
    assert drawn.shape == (2, 3, 2)
    assert drawn.dtype == torch.float32
    assert drawn[1].flatten().tolist() == (expected * 2 - 1).tolist()


def test_the_stream_is_not_the_environments() -> None:
    environment = np.random.Generator(np.random.PCG64(7)).random(6, dtype=np.float32) * 2 - 1
    assert Noise.from_seeds([7]).uniform(6)[0].tolist() != environment.tolist()


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_a_row_draws_the_same_in_every_batch(kind: str) -> None:
    together, alone = Noise.from_seeds([1, 2, 3]), Noise.from_seeds([2])
    for shape in [(4,), (2, 3), ()]:
        assert getattr(together, kind)(*shape)[1].equal(getattr(alone, kind)(*shape)[0])


def test_rows_share_generators_and_advance_only_their_own() -> None:
    noise, reference = Noise.from_seeds([1, 2, 3]), Noise.from_seeds([1, 2, 3])
    first, second = reference.uniform(4), reference.uniform(4)
    assert noise.rows([2, 0]).uniform(4).equal(first[[2, 0]])
    rest = noise.uniform(4)
    assert rest[1].equal(first[1])
    assert rest[[0, 2]].equal(second[[0, 2]])


def test_rows_take_indices_and_masks() -> None:
    mask = torch.tensor([True, False, True])
    by_mask, by_index = Noise.from_seeds([1, 2, 3]).rows(mask), Noise.from_seeds([1, 2, 3]).rows(torch.tensor([0, 2]))
    assert len(by_mask) == 2
    assert by_mask.normal(3).equal(by_index.normal(3))


def test_uniform_fills_the_interval_and_normal_has_unit_variance() -> None:
    uniform, normal = Noise.from_seeds([0]).uniform(100_000), Noise.from_seeds([0]).normal(100_000)
    assert uniform.min() >= -1
    assert uniform.max() <= 1
    assert uniform.mean().abs() < 0.01  # 5 standard errors
    assert (uniform.var() - 1 / 3).abs() < 0.005
    assert (normal.var() - 1).abs() < 0.025


def test_no_rows_draw_nothing() -> None:
    assert Noise.from_seeds([]).uniform(3, 2).shape == (0, 3, 2)
