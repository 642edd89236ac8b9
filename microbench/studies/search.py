"""`perturb --search`: the point of an uncertainty set of perturbations at which a policy earns the least.

One set of episodes, equal for all points, chooses; another, far from it, measures what was chosen, so that the number
that is reported owes nothing to the choice. Rows that only chose stand in search.csv, apart from the results.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from microbench.errors import UserError
from microbench.evaluation.plan import CLEAN, Cell, held_out, plan_episodes
from microbench.seeds import Stream
from microbench.studies.stages import Stage, Stages
from microbench.studies.surrogate import Floats, first_points, next_points
from microbench.studies.sweeps import Axis, cell
from microbench.studies.worst import broke_off, check_apart
from perturbations.sampling import DIGITS
from reports.study.scores import mean_interval

ASIDE = "search.csv"
"""Where rows that only chose stand, beside results.csv and in the same form."""

POINTS = 40
"""Points of a search where nothing else is said."""

BATCH = 4
"""Points that are measured together, after those that are measured first."""

Effects = Callable[[Iterable[Cell]], list[dict[str, Any]]]
"""Cells → what each changes of physics and signals, as results.json says it."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """An uncertainty set, and how many of its points a search measures.

    axes    one per perturbation, a range or a single factor that stays as it is
    points  under each attack, and without one
    """

    axes: tuple[Axis, ...]
    points: int = POINTS

    @property
    def ranges(self) -> list[Axis]:
        """The axes along which something is searched."""
        return [axis for axis in self.axes if axis.factors[0] < axis.factors[-1]]

    @property
    def centre(self) -> Cell:
        """The cell in the middle of all ranges."""
        return self.cells(np.full((1, len(self.ranges)), 0.5))[0]

    def cells(self, points: Floats) -> list[Cell]:
        """The cells at points of the unit cube (n, d), with factors of 4 significant digits inside the box.

        Raises:
            ValueError: as `microbench.studies.sweeps.cell`.
        """
        names = [axis.name for axis in self.axes]
        return [cell(names, self._factors(point)) for point in points.tolist()]

    def _factors(self, point: Sequence[float]) -> list[float]:
        places = iter(point)
        return [
            _rounded(low, high, next(places)) if low < high else low
            for low, high in ((axis.factors[0], axis.factors[-1]) for axis in self.axes)
        ]


def box_of(sweeps: Iterable[Sequence[Axis]], points: int = POINTS) -> Box:
    """The box that all ranges span; a single factor stays as it is.

    Raises:
        UserError: a list of factors, no range at all, a factor between whole numbers that a perturbation needs, or too
            few points.
        ValueError: an unknown perturbation, or a factor it cannot take.
    """
    axes = tuple(axis for sweep in sweeps for axis in sweep)
    for axis in axes:
        if not axis.is_range and len(axis.factors) > 1:
            raise UserError(f"--search looks in a range of {axis.name}; write it as LOW:HIGH, or one number to fix it.")
    box = Box(axes=axes, points=points)
    if not box.ranges:
        raise UserError("--search has no range to look in: give at least one LOW:HIGH, for example --mass 0.8:1.2.")
    for place in (0.0, 1.0, 0.36788):  # the last is no whole number
        box.cells(np.full((1, len(box.ranges)), place))
    return box


@dataclass(kw_only=True, eq=False)
class _Path:
    """What one search has measured so far: under one attack, or without any."""

    under: Cell
    rng: np.random.Generator
    points: list[list[float]] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    rows: list[pd.DataFrame] = field(default_factory=list)

    @property
    def judged(self) -> Floats:
        """The mean of every point, infinite where an episode broke off, unless one did at all of them."""
        means = [mean if math.isfinite(mean) else math.inf for mean in self.means]
        if not any(self.whole):
            return np.array(means)
        return np.array([mean if whole else math.inf for mean, whole in zip(means, self.whole, strict=True)])

    def batch(self, box: Box) -> tuple[Floats, list[Cell]]:
        """The next points that no earlier one equals; none where the search ends."""
        left = box.points - len(self.cells)
        if not self.cells:
            d = len(box.ranges)
            points = first_points(d, min(left, max(left // 3, 1 + 2**d if d <= 4 else 1)), self.rng)
        elif left > 0:
            points = next_points(np.array(self.points), self.judged, min(BATCH, left), self.rng)
        else:
            return np.empty((0, len(box.ranges))), []
        cells = [replace(self.under, perturbation=one.perturbation, factor=one.factor) for one in box.cells(points)]
        fresh = [place for place, one in enumerate(cells) if one not in self.cells and one not in cells[:place]]
        return points[fresh], [cells[place] for place in fresh]

    def take(self, points: Floats, cells: Sequence[Cell], rows: Sequence[pd.DataFrame]) -> None:
        """Keep what was measured at these points."""
        self.points += points.tolist()
        self.cells += cells
        self.rows += rows
        self.means += [math.fsum(own["return"]) / len(own) for own in rows]
        self.whole += [not own["flags"].map(broke_off).any() for own in rows]
        self.steps += [int(own["length"].sum()) for own in rows]


def searched(box: Box, under: Sequence[Cell], n: int, seed: int, effects: Effects) -> Stages:
    """A search for each of these cells without perturbation, side by side, on n episodes from `seed` on.

    Then the point with the lowest mean return of each is measured on n episodes from `held_out(seed)` on, beside the
    cells without perturbation.

    Raises:
        UserError: the episodes that choose would reach those that measure.
    """
    check_apart("--search", n, seed)
    began = time.monotonic()
    paths = [_Path(under=one, rng=np.random.default_rng((seed, Stream.SEARCH))) for one in under]
    while True:
        batches = [path.batch(box) for path in paths]
        planned = plan_episodes([one for _, cells in batches for one in cells], n, seed)
        if not planned:
            break
        left = sum(max(0, box.points - len(path.cells)) for path in paths) * n + 2 * n * len(paths)
        rows = yield Stage(episodes=planned, title="search", later=left - len(planned), table=ASIDE)
        place = 0
        for path, (points, cells) in zip(paths, batches, strict=True):
            own = [rows.iloc[place + n * number : place + n * (number + 1)] for number in range(len(cells))]
            path.take(points, cells, own)
            place += n * len(cells)
    seconds = round(time.monotonic() - began, 1)
    best = [int(np.argmin(path.judged)) for path in paths]
    chosen = [path.cells[place] for path, place in zip(paths, best, strict=True)]
    about = [_about(box, path, place, n, seed, seconds) for path, place in zip(paths, best, strict=True)]
    metadata = {"effects": effects(chosen), "searched": about}
    episodes = plan_episodes(list(dict.fromkeys([CLEAN, *under, *chosen])), n, held_out(seed))
    rows = yield Stage(episodes=episodes, title="worst points", metadata=metadata)
    cells = [episode.cell for episode in episodes]
    fresh = [_numbers(rows[[one == cell for one in cells]]) for cell in chosen]
    return metadata | {"searched": [one | {"fresh": numbers} for one, numbers in zip(about, fresh, strict=True)]}


def cost(box: Box, under: int, n: int) -> str:
    """What a search costs, in one sentence, for so many conditions with n episodes each."""
    names = " × ".join(axis.name for axis in box.ranges)
    side = f" under each of {under} conditions" if under > 1 else ""
    return (
        f"--search measures {box.points} points of {names}{side}, {n} episodes each: {box.points * under * n:,} "
        f"episodes that choose, and {2 * under * n:,} fresh ones that measure (--points for more or fewer)."
    )


def _about(box: Box, path: _Path, best: int, n: int, seed: int, seconds: float) -> dict[str, Any]:
    """What results.json says of a search: where, what was tried for how much, the curve, and what was chosen."""
    chosen, row = path.cells[best], path.rows[best].iloc[0]
    return {
        **{name: row[name] for name in ("checkpoint", "task", "attack", "unit", "norm")},
        "eps": chosen.eps,
        "perturbation": chosen.perturbation,
        "factor": chosen.factor,
        "box": {axis.name: [axis.factors[0], axis.factors[-1]] for axis in box.axes},
        "points": len(path.cells),
        **{"episodes": n, "seed": seed, "held_out": held_out(seed)},
        "steps": sum(path.steps),
        "seconds": seconds,
        "curve": _curve(path),
        "tried": [
            {"perturbation": one.perturbation, "factor": one.factor, "mean_return": _finite(mean)}
            for one, mean in zip(path.cells, path.means, strict=True)
        ],
        "passed_over": len(path.whole) - sum(path.whole) if any(path.whole) else 0,
        "choosing": _numbers(path.rows[best]),
    }


def _curve(path: _Path) -> list[list[float | None]]:
    """[points, environment steps, lowest mean return so far] wherever a point was lower than all before."""
    lowest, curve = math.inf, list[list[float | None]]()
    for number, (mean, steps) in enumerate(zip(path.judged.tolist(), np.cumsum(path.steps).tolist(), strict=True), 1):
        if mean < lowest or number == len(path.cells):
            lowest = min(lowest, mean)
            curve.append([number, steps, _finite(lowest)])
    return curve


def _numbers(rows: pd.DataFrame) -> Mapping[str, list[float | None]]:
    """Mean and 95 % interval of returns and of scores, without those that some episode lacks."""
    columns = {name: rows[name].to_numpy(np.float64) for name in ("return", "score")}
    intervals = {
        name: mean_interval(values) for name, values in columns.items() if len(values) and np.isfinite(values).all()
    }
    return {name: [_finite(x) for x in (one.estimate, one.low, one.high)] for name, one in intervals.items()}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _rounded(low: float, high: float, place: float) -> float:
    return min(max(float(f"{low + (high - low) * place:.{DIGITS}g}"), low), high)
