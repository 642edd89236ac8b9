"""The statistics of `statistics`, of every cell of a table at once instead of one array at a time."""

import numpy as np

from reports.numbers.means import Floats, Integers
from reports.numbers.statistics import TARGET, WORST


def statistics_of(x: Floats, cell: Integers, cells: int) -> dict[str, Floats]:
    """Spread (std, over N - 1), median, iqm, cvar and optimality_gap of every cell, (C,) each; NaN where there is none.

    Args:
        x: (N,) finite.
        cell: (N,) from 0 to C - 1.
        cells: C.
    """
    order = np.lexsort([x, cell])
    x, cell = x[order], cell[order]
    n = np.bincount(cell, minlength=cells)  # (C,)
    rank = np.arange(x.size) - (np.cumsum(n) - n)[cell]  # (N,) from 0 within the cell
    size = n[cell]
    cut = size // 4
    middle = ((rank == (size - 1) // 2) + 0.0 + (rank == size // 2)) / 2
    weights = {
        "median": middle,
        "iqm": ((rank >= cut) & (rank < size - cut)) / np.maximum(size - 2 * cut, 1),
        "cvar": np.clip(WORST * size - rank, 0, 1) / (WORST * size),
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        away = x - (np.bincount(cell, x, cells) / n)[cell]
        spread = np.sqrt(np.bincount(cell, away**2, cells) / (n - 1))
        gap = np.bincount(cell, np.maximum(TARGET - x, 0), cells) / n
    spread = np.where(n > 1, spread, np.nan)
    weighed = {name: np.bincount(cell, weight * x, cells) for name, weight in weights.items()}
    return (
        {"std": spread}
        | {name: np.where(n > 0, sums, np.nan) for name, sums in weighed.items()}
        | {"optimality_gap": gap}
    )
