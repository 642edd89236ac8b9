"""Paired comparisons of cells of one policy over their common episodes, many at once."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from reports.statistics.means import LEVEL, Interval, mean_intervals


def paired_cells(episodes: pd.DataFrame, pairs: Sequence[tuple[int, int | None]]) -> list[Interval]:
    """The mean difference, first minus second, with its `mean_interval`, for each pair of cells of `summarize`.

    It is over episodes with an equal start and a value in both cells. n is 0 without such an episode or a second cell.
    `episodes` is the result of `prepare`.
    """
    cell, start, value = (episodes[name].to_numpy() for name in ("cell", "start", "value"))
    run = pd.factorize(episodes["train_seed"], use_na_sentinel=False)[0]
    places = np.arange(len(pairs))
    ends = np.searchsorted(cell, np.arange(cell[-1] + 2))  # cell c has the rows from ends[c] to ends[c + 1]
    differences, runs = [np.empty(0)], [np.empty(0, np.int64)]
    for first, second in pairs:
        a, b = (np.arange(0) if one is None else np.arange(ends[one], ends[one + 1]) for one in (first, second))
        _, at_a, at_b = np.intersect1d(start[a], start[b], assume_unique=True, return_indices=True)
        difference = value[a[at_a]] - value[b[at_b]]
        there = np.isfinite(difference)
        differences.append(difference[there])
        runs.append(run[a[at_a]][there])
    owner = np.repeat(places, [len(one) for one in differences[1:]])
    means_and_ends = mean_intervals(np.concatenate(differences), owner, np.concatenate(runs), len(pairs))
    return [
        Interval(estimate=float(mean), low=float(low), high=float(high), level=LEVEL, method="paired", n=len(one))
        for mean, low, high, one in zip(*means_and_ends, differences[1:], strict=True)
    ]


def repeated_cells(episodes: pd.DataFrame) -> set[int]:
    """Cells in which every paired episode equals its clean partner in value and length.

    Cells without a paired episode are not included. `episodes` is the result of `prepare`.
    """
    cell, start, value, clean, length = (
        episodes[name].to_numpy() for name in ("cell", "start", "value", "clean", "length")
    )
    untouched = (episodes["block"] == "clean").to_numpy()
    lengths = np.full(start.max() + 1, -1)
    lengths[start[untouched]] = length[untouched]
    paired = np.isfinite(clean)
    moved = paired & ((value != clean) | (length != lengths[start]))  # a value that is missing differs as well
    return set(np.setdiff1d(cell[paired], cell[moved]).tolist())
