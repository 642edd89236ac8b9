"""placeholder until the real one is merged"""

from collections.abc import Sequence
import numpy as np
import numpy.typing as npt


def uniform(ranges: Sequence[tuple[float, float]], n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    low, high = np.array(ranges).T
    return low + (high - low) * rng.random((n, len(ranges)))


latin_hypercube = uniform
