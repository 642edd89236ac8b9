"""Row-wise randomness: an episode's random numbers never depend on the batch it is in."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STREAM = 1  # the environment uses the episode's seed itself; attacks use (seed, 1)


class Noise:
    """A random source of B rows: row i draws from the generator of its own episode.

    Draws are float32 tensors on the CPU, so that they are the same on every device.
    """

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self._generators = tuple(generators)

    @classmethod
    def from_seeds(cls, seeds: Sequence[int], stream: int = STREAM) -> "Noise":
        """Return one row per seed, each a PCG64 stream of SeedSequence((seed, stream))."""
        return cls([np.random.Generator(np.random.PCG64(np.random.SeedSequence((int(s), stream)))) for s in seeds])

    def __len__(self) -> int:
        return len(self._generators)

    def rows(self, index: Tensor | Sequence[int]) -> "Noise":
        """Return the chosen rows (integers or a Boolean mask). They share these generators and advance them."""
        chosen: list[int] = torch.arange(len(self))[index].tolist()
        return Noise([self._generators[i] for i in chosen])

    def copies(self, n: int) -> "Noise":
        """Return n sources per row, (B·n). Those of a row draw the same numbers, and others than the row itself."""
        seeds = [int(generator.integers(2**63)) for generator in self._generators]
        return Noise([np.random.Generator(np.random.PCG64(seed)) for seed in seeds for _ in range(n)])

    def uniform(self, *shape: int) -> Tensor:
        """Return U[−1, 1) noise (B, *shape)."""
        return self._fill(shape, lambda generator, row: generator.random(dtype=np.float32, out=row)) * 2 - 1

    def normal(self, *shape: int) -> Tensor:
        """Return N(0, 1) noise (B, *shape)."""
        return self._fill(shape, lambda generator, row: generator.standard_normal(dtype=np.float32, out=row))

    def _fill(self, shape: Sequence[int], draw: Callable[[np.random.Generator, NDArray[np.float32]], Any]) -> Tensor:
        values = np.empty((len(self), prod(shape)), dtype=np.float32)
        for generator, row in zip(self._generators, values, strict=True):
            draw(generator, row)
        return torch.from_numpy(values).reshape(len(self), *shape)
