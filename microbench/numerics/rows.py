"""Rows whose float32 results depend neither on their batch nor on the number of threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from microbench.numerics.strict_products import use_strict_products

# The rows of a float32 product do not depend on the batch they are in if torch uses one thread and whole blocks of rows
# go into it: other sizes take other kernels for the last ones. On Intel's processors products have to be strict as well
# (`microbench.numerics.strict_products`). (For layers whose size is not a multiple of 4 the last bits depend on a row's
# place in the block as well, and nothing helps.)
BLOCK_ROWS = 8


def padded(rows: Tensor) -> Tensor:
    """The rows (B, N) and below them rows of zeros, up to whole blocks."""
    return torch.cat([rows, rows.new_zeros(-len(rows) % BLOCK_ROWS, rows.shape[1])])


def as_tensor(obs: NDArray[np.float64]) -> Tensor:
    """Observations (B, S) as the policy gets them, in float32."""
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which is told
        return torch.from_numpy(obs.astype(np.float32))


def finite(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether all numbers of each row (B, …) are finite, (B,)."""
    found: NDArray[np.bool_] = np.all(np.isfinite(rows), axis=-1)
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread inside the block: with more, a row's result depends on the batch it is in.

    The same is why products are strict from here on, if none was made before (`microbench.numerics.strict_products`).
    """
    use_strict_products()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
