"""Tables of grids and samples: an overview with a row for each, and the means of a grid over its two axes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from reports.study.grids import Family, families
from reports.study.names import attack_name, point_name, short
from reports.study.scores import Interval, cvar, mean_interval
from reports.study.summary import Results, study_of
from reports.study.texts import DASH, interval

WIDE = 12
"""Maximum number of columns of a grid with half-widths; table.csv has the half-widths of wider grids."""

OVERVIEW = (
    "Grids and samples: mean over the points [95 % interval as above, of the average of an episode over all points]; "
    "CVaR is the mean of the worst 10 % of the points; worst and best are single points. table.csv has every point."
)


def family_table(results: Results) -> pd.DataFrame:
    """One row per grid or sample, policy and attack: points, mean, CVaR over points, worst and best point.

    The mean is over points. Its interval is that of the episodes' averages over all points; it is missing if an episode
    lacks a point. The table has no rows without grids and samples (`study.grids`).
    Raises ValueError as `summarize` does.
    """
    study = study_of(results)
    averages = _averages(study.episodes, families(study.summary))
    return pd.DataFrame([_line(family, average) for family, average in averages])


def grid_table(grid: Family) -> pd.DataFrame:
    """The means of a grid as text cells `mean ± half-width`: first name down, second across, both ascending."""
    down, across = grid.axes or grid.names[-2:]
    mean, low, high, marked = (grid.matrix(name) for name in ("mean", "low", "high", "marked"))
    half = (high - low) / 2 if mean.shape[1] <= WIDE else np.full(mean.shape, np.nan)
    texts = [
        [DASH if np.isnan(m) else _text(x, h) + " †" * int(m) for x, h, m in zip(*row, strict=True)]
        for row in zip(mean, half, marked, strict=True)
    ]
    table = pd.DataFrame(texts, columns=[short(value) for value in grid.values[1]])
    table.insert(0, f"{down} ↓ {across} →", [short(value) for value in grid.values[0]])
    return table


def grid_caption(grid: Family) -> str:
    """The caption of a grid: `micro, clean observations: mean score over friction (down) × gravity (across); …`."""
    down, across = grid.axes or grid.names[-2:]
    cell = grid.cells.iloc[0]
    beside = f", with {point_name(grid.beside)}" if grid.beside else ""
    nominal = point_name({name: grid.nominal[name] for name in (down, across)})
    return (
        f"{cell['policy']}, {attack_name(cell)}{beside}: mean {cell['metric']} over {down} (down) × {across} (across); "
        f"nominal is {nominal}."
    )


def _averages(episodes: pd.DataFrame, grids_and_samples: list[Family]) -> Iterator[tuple[Family, Interval | None]]:
    """Each family with the interval of its episodes' averages over all points."""
    for family in grids_and_samples:
        own = episodes[episodes["cell"].isin(family.cells.index)]
        average = own.groupby("start", sort=False)["value"].agg(["mean", "count"])
        complete = (average["count"] == len(family.cells)).all()
        groups = own.drop_duplicates("start")["train_seed"].tolist()
        yield family, mean_interval(average["mean"].to_numpy(), groups=groups) if complete else None


def _line(family: Family, average: Interval | None) -> dict[str, str]:
    cell, means = family.cells.iloc[0], family.cells["mean"].to_numpy(np.float64)
    aligned = family.cells["aligned"].to_numpy(np.float64)
    names = list(family.axes or family.names)
    beside = f", with {point_name(family.beside)}" if family.beside and family.axes else ""
    kind = "grid" if family.axes else "sample"
    line = {
        "policy": cell["policy"],
        "attack": attack_name(cell),
        "perturbations": f"{kind} {' × '.join(names)}{beside}",
        "points": str(len(family.cells)),
    }
    if np.isnan(means).all():
        return line | dict.fromkeys(("mean", "CVaR 10 %", "worst", "best"), "no return")
    ends = (interval(average.low, average.high) if average else "") or "(no interval)"
    return line | {
        "mean": f"{np.nanmean(means):z.1f} {ends}",
        "CVaR 10 %": f"{float(cvar(means[np.isfinite(means)])):z.1f}",
        "worst": _at(family, int(np.nanargmin(aligned))),
        "best": _at(family, int(np.nanargmax(aligned))),
    }


def _at(family: Family, place: int) -> str:
    cell, point = family.cells.iloc[place], family.points.iloc[place]
    names = family.axes or family.names
    return f"{_text(cell['mean'], (cell['high'] - cell['low']) / 2)} at {point_name({n: point[n] for n in names})}"


def _text(mean: float, half: float) -> str:
    if np.isnan(mean):
        return "no return"
    return f"{mean:z.1f}" if np.isnan(half) else f"{mean:z.1f} ± {half:z.1f}"
