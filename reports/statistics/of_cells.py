"""The statistics of `of_arrays` for all cells of a table at once."""

import numpy as np
import numpy.typing as npt

from reports.statistics.means import Floats, Integers, by_run
from reports.statistics.of_arrays import TARGET, WORST


def statistics_of(x: Floats, cell: Integers, run: Integers, cells: int) -> dict[str, Floats]:
    """The std (over N - 1), median, iqm, cvar and optimality_gap of every cell, (C,) each; NaN if undefined.

    Every training run of a cell has the same weight: an episode of a run with half as many episodes weighs twice as
    much. If all runs have equally many episodes, the results are those of the functions in `of_arrays`.

    Args:
        x: (N,) finite.
        cell: (N,) from 0 to C - 1.
        run: (N,) the training run, from 0.
        cells: C.
    """
    order = np.lexsort([x, cell])
    x, cell, run = x[order], cell[order], run[order]
    n = np.bincount(cell, minlength=cells)  # (C,)
    owner, place, sizes = by_run(cell, run)
    weight = n[cell] / (np.bincount(owner, minlength=cells)[cell] * sizes[place])  # (N,) 1 where runs are of one size
    total = n[cell]
    above = np.cumsum(weight)  # (N,) the weight of values up to this one
    above -= (np.cumsum(n) - n)[cell]
    below = above - weight
    cut, slack = total // 4, 1e-9 * total  # sums of weights are inexact unless these are binary fractions
    kept = np.minimum(above, total - cut) - np.maximum(below, cut)
    parts = {
        "median": (_first(above >= total / 2 - slack, cell) + 0.0 + _first(above > total / 2 + slack, cell)) / 2,
        "iqm": np.clip(kept, 0, None) / np.maximum(total - 2 * cut, 1),
        "cvar": np.clip(np.minimum(above, WORST * total) - below, 0, None) / (WORST * total),
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        away = x - (np.bincount(cell, weight * x, cells) / n)[cell]
        spread = np.sqrt(np.bincount(cell, weight * away**2, cells) / (n - 1))
        gap = np.bincount(cell, weight * np.maximum(TARGET - x, 0), cells) / n
    spread = np.where(n > 1, spread, np.nan)
    weighed = {name: np.bincount(cell, part * x, cells) for name, part in parts.items()}
    return (
        {"std": spread}
        | {name: np.where(n > 0, sums, np.nan) for name, sums in weighed.items()}
        | {"optimality_gap": gap}
    )


def _first(marked: npt.NDArray[np.bool_], cell: Integers) -> npt.NDArray[np.bool_]:
    """The first marked value of each cell, if marks last from there to the end of the cell."""
    before = np.concatenate([[False], marked[:-1] & (cell[1:] == cell[:-1])])
    return np.asarray(marked & ~before)
