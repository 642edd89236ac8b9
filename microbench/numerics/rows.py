"""Rows whose float32 results depend neither on their batch nor on the number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from microbench.numerics.strict_products import use_strict_products

# Rows of a block. A row of a float32 product does not depend on its batch if torch uses one thread and the product has
# whole blocks of rows: other sizes take other kernels for the last rows. On Intel's processors products have to be
# strict as well (`microbench.numerics.strict_products`). For layers whose size is not a multiple of 4 the last bits
# depend on a row's place in the block too, and nothing helps.
BLOCK_ROWS = 8


def padded(rows: Tensor) -> Tensor:
    """The rows (B, N), filled up with rows of zeros to whole blocks."""
    return torch.cat([rows, rows.new_zeros(-len(rows) % BLOCK_ROWS, rows.shape[1])])


def as_tensor(obs: NDArray[np.float64]) -> Tensor:
    """Observations (B, S) as the float32 tensor that the policy gets."""
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and `finite` reports it
        return torch.from_numpy(obs.astype(np.float32))


def finite(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether all numbers of each row (B, …) are finite, (B,)."""
    mask: NDArray[np.bool_] = np.all(np.isfinite(rows), axis=-1)
    return mask


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread inside the block: with more, a row's result depends on its batch.

    For the same reason products are strict from here on, unless MKL has made one before
    (`microbench.numerics.strict_products`).
    """
    use_strict_products()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
