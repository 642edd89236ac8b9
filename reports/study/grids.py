"""Families of compositions: grids of two perturbations, and samples of a set of perturbed robots.

A composition is stored as all its parts but the last with their values, then the last name. For example,
`friction=0.5,gravity` with factor 0.75 is the point (friction 0.5, gravity 0.75).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.study.conditions import is_composition
from reports.study.parts import Part, measured_in, part_of

Floats = npt.NDArray[np.float64]

FAMILY = ["policy", "metric", "attack", "eps", "unit", "norm"]

SAMPLE = 10
"""Minimum number of compositions of a sample; fewer stay rows of the table."""

SEPARATOR = ";"
"""Separator of the parts of a composition in the columns `nominals` and `measured_in`."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """Compositions of the same names, for one policy under one attack condition.

    Attributes:
        names: the composed perturbations, in the order of composition.
        axes: the two names of a grid (down, across); None for a sample.
        cells: rows of `summarize`, one per point; `marked` says whether it has flags or missing returns.
        points: factors, with the index of `cells` and one column per name.
    """

    names: tuple[str, ...]
    axes: tuple[str, str] | None
    cells: pd.DataFrame
    points: pd.DataFrame

    @property
    def beside(self) -> dict[str, float]:
        """The fixed factors of a grid, by name."""
        return {name: float(self.points[name].iloc[0]) for name in self.names if name not in (self.axes or self.names)}

    @property
    def values(self) -> tuple[list[float], list[float]]:
        """The values on the two axes of a grid (down, across), ascending."""
        down, across = self.axes or self.names[-2:]
        return sorted(self.points[down].unique().tolist()), sorted(self.points[across].unique().tolist())

    def matrix(self, column: str) -> Floats:
        """A numeric column of the cells, or `untouched`, over the two axes of a grid, (D, A); missing cells are NaN."""
        filled = np.full([len(values) for values in self.values], np.nan)
        places = zip(self.axes or self.names[-2:], self.values, strict=True)
        rows, columns = (np.searchsorted(values, self.points[name]) for name, values in places)
        values = self.untouched if column == "untouched" else self.cells[column]
        filled[rows, columns] = values.to_numpy(np.float64)
        return filled

    @property
    def nominal(self) -> dict[str, float]:
        """The nominal factor of each name, which has no effect."""
        texts = str(self.cells["nominals"].iloc[0]).split(SEPARATOR)
        return {name: _number(value) for name, value in zip(self.names, texts, strict=True)}

    @property
    def units(self) -> dict[str, str]:
        """The unit of the factors of each name; empty for multiples."""
        return dict(zip(self.names, str(self.cells["measured_in"].iloc[0]).split(SEPARATOR), strict=True))

    @property
    def untouched(self) -> pd.Series:
        """Whether each point has nominal factors only."""
        return (self.points == pd.Series(self.nominal)).all(axis=1)


def families(summary: pd.DataFrame) -> list[Family]:
    """The grids and samples among the conditions of `summarize`, in its order.

    A grid has at least two values of either name, each in several points, and more than half of its cells. Three
    varied names give one grid of the last two per value of the first. Other compositions of the same names are a
    sample if there are at least `SAMPLE` of them.
    """
    composed = summary[is_composition(summary["perturbation"])]
    grids_and_samples: list[Family] = []
    if composed.empty:
        return grids_and_samples
    names = composed["perturbation"].str.replace(r"=[^,]*", "", regex=True)
    composed = composed.assign(marked=(composed["flags"] != "") | (composed["left_out"] > 0))
    for _, cells in composed.groupby([*(composed[name] for name in FAMILY), names], sort=False):
        ends = zip(cells["perturbation"], cells["factor"], strict=True)
        points = pd.DataFrame([dict(parts(name, factor)) for name, factor in ends], cells.index)
        grids_and_samples += _families(cells, points)
    return grids_and_samples


def parts(perturbation: str, factor: float) -> list[tuple[str, float]]:
    """`("friction=0.5,gravity", 0.75)` → `[("friction", 0.5), ("gravity", 0.75)]`; a missing value is NaN."""
    *first, last = perturbation.split(",")
    pairs = [item.partition("=")[::2] for item in first]
    return [*((name, _number(value)) for name, value in pairs), (last, float(factor))]


def descriptions(heads: pd.DataFrame, known: Mapping[str, Part]) -> dict[str, list[str]]:
    """The columns `nominals` and `measured_in` of conditions: nominal factor and unit of each part, in order.

    The nominal factor of the last part is from the table itself.
    """
    nominals, units = [], []
    rows = zip(heads["perturbation"], heads["factor"], heads["nominal"], heads["unit"], strict=True)
    for perturbation, factor, nominal, unit in rows:
        own = [part_of(name, known) for name, _ in parts(perturbation, factor)]
        numbers = [*(part.nominal for part in own[:-1]), nominal]
        nominals.append(SEPARATOR.join(f"{number:.12g}" for number in numbers))
        units.append(SEPARATOR.join(measured_in(part, unit) for part in own))
    return {"nominals": nominals, "measured_in": units}


def in_families(summary: pd.DataFrame) -> pd.Series:
    """Whether each condition belongs to a grid or a sample, and so has no row of its own."""
    members = [index for family in families(summary) for index in family.cells.index]
    return pd.Series(summary.index.isin(members), index=summary.index)


def _families(cells: pd.DataFrame, points: pd.DataFrame) -> list[Family]:
    names = tuple(points.columns)
    varied = [name for name in names if points[name].nunique() > 1]
    if len(varied) < 2:
        return []  # with one varying name it is a curve
    axes = (varied[-2], varied[-1])
    fixed = [name for name in names if name not in axes]
    groups = [group for _, group in points.groupby(fixed, sort=False)] if fixed else [points]
    grids = [grid for grid in (_grid(group, axes) for group in groups) if len(grid)]
    grids_and_samples = [Family(names=names, axes=axes, cells=cells.loc[grid.index], points=grid) for grid in grids]
    rest = points.drop(index=[index for grid in grids for index in grid.index])
    if len(rest) >= SAMPLE:
        grids_and_samples.append(Family(names=names, axes=None, cells=cells.loc[rest.index], points=rest))
    return grids_and_samples


def _grid(points: pd.DataFrame, axes: tuple[str, str]) -> pd.DataFrame:
    """The points of a grid: values that recur on both axes, and their neighbours; none if it is less than half full."""
    core = points
    while True:
        again = np.logical_and.reduce([core[axis].groupby(core[axis]).transform("size") > 1 for axis in axes])
        if again.all():
            break
        core = core[again]
    beside = points[np.logical_or.reduce([points[axis].isin(core[axis]) for axis in axes])]
    return next((grid for grid in (beside, core) if _fill(grid, axes) > 0.5), points.iloc[:0])


def _fill(points: pd.DataFrame, axes: tuple[str, str]) -> float:
    cells = points[axes[0]].nunique() * points[axes[1]].nunique()
    return len(points) / cells if cells else 0.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
