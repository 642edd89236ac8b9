"""Cells from the perturbations of the command line: sweeps, grids, and samples of an uncertainty set."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import perturbations
from microbench.errors import UserError, unknown_name
from microbench.evaluation.plan import CLEAN, Cell
from perturbations import sampling

BARE = ("mass=0.5:1.5:5", "friction=0.5:1.5:5")
BARE_RANGES = ("mass=0.5:1.5", "friction=0.5:1.5")
"""The perturbations of a command without `--perturbation`, in sweeps and in samples."""

MOST_POINTS = 10_000
"""Largest number of points of one command, because each is a compiled model and a line of a table."""

SAMPLINGS = {"latin-hypercube": sampling.latin_hypercube, "uniform": sampling.uniform}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One perturbation and its factors in the order of the text; only (low, high) if `is_range`."""

    name: str
    factors: tuple[float, ...]
    is_range: bool = False


def parse_sweep(text: str) -> tuple[Axis, ...]:
    """`"mass=0.5:1.5:5"`, `"mass=0.8,1,friction=0.8"` or `"mass=0.8:1.2"` → one axis per name.

    LOW:HIGH:COUNT includes both ends. A number without a name belongs to the name before it; several names act
    together.

    Raises:
        UserError: not of this form.
    """
    parts: list[tuple[str, list[str]]] = []
    for item in text.split(","):
        name, equals, factors = item.rpartition("=")
        if equals:
            parts.append((name.strip(), [factors]))
        elif parts:
            parts[-1][1].append(factors)
        else:
            raise _no_sweep(text)
    if not all(name for name, _ in parts):
        raise _no_sweep(text)
    return tuple(_axis(name, items, text) for name, items in parts)


def swept(sweeps: Iterable[Sequence[Axis]], *, grid: bool = False) -> list[Cell]:
    """All combinations of each sweep's factors, the last axis varying fastest; with `grid`, of all sweeps together.

    Raises:
        UserError: a range without a number of factors.
        ValueError: an unknown perturbation, a factor it cannot take, or one named twice in a composition.
    """
    axes = [tuple(sweep) for sweep in sweeps]
    points = [math.prod(len(axis.factors) for axis in sweep) for sweep in axes]
    _check_size(math.prod(points) if grid else sum(points))
    if grid:
        axes = [tuple(itertools.chain(*axes))]
    for axis in itertools.chain(*axes):
        if axis.is_range:
            low, high = axis.factors
            raise UserError(
                f"{axis.name}={low:g}:{high:g} is a range to draw from; add :COUNT for a sweep, or --samples N."
            )
    return [
        cell([axis.name for axis in sweep], point)
        for sweep in axes
        for point in itertools.product(*(axis.factors for axis in sweep))
    ]


def sampled(sweeps: Iterable[Sequence[Axis]], samples: int, how: str, seed: int) -> list[Cell]:
    """`samples` points of the box that all ranges span, drawn from the seed; a single factor stays as it is.

    Raises:
        UserError: an unknown way to draw, or an axis that is neither a range nor a single factor.
        ValueError: as `swept`.
    """
    if how not in SAMPLINGS:
        raise unknown_name("sampling", how, SAMPLINGS)
    axes = tuple(itertools.chain(*sweeps))
    _check_size(samples)
    for axis in axes:
        if not axis.is_range and len(axis.factors) > 1:
            raise UserError(f"--samples draws {axis.name} from a range; write it as LOW:HIGH, or one number to fix it.")
    ranges = [(axis.factors[0], axis.factors[-1]) for axis in axes]
    points: NDArray[np.float64] = SAMPLINGS[how](ranges, samples, np.random.default_rng(seed))
    return [cell([axis.name for axis in axes], point) for point in points.tolist()]


def crossed(cells: Iterable[Cell], attacked: Iterable[Cell]) -> list[Cell]:
    """Every perturbed cell alone and under every attack, beside the clean cell and the attacks themselves."""
    perturbed, attacked = list(cells), list(attacked)
    both = [
        Cell(attack=attack.attack, eps=attack.eps, perturbation=one.perturbation, factor=one.factor)
        for attack in attacked
        for one in perturbed
    ]
    return [CLEAN, *perturbed, *attacked, *both]


def cell(names: Sequence[str], factors: Sequence[float]) -> Cell:
    """The cell in which all of these perturbations act.

    Raises:
        ValueError: as `perturbations.parse`.
    """
    text = ",".join(f"{name}={factor:.12g}" for name, factor in zip(names, factors, strict=True))
    perturbations.parse(text)
    perturbation, factor = perturbations.split(text)
    return Cell(perturbation=perturbation, factor=factor)


def _axis(name: str, items: Sequence[str], text: str) -> Axis:
    try:
        if len(items) == 1 and items[0].count(":") == 1:
            low, high = (float(item) for item in items[0].split(":"))
            factors, is_range = [low, high], True
        else:
            factors, is_range = [factor for item in items for factor in _factors(item)], False
    except UserError:
        raise
    except ValueError:
        raise _no_sweep(text) from None
    if not factors or not all(math.isfinite(factor) for factor in factors) or (is_range and not low <= high):
        raise _no_sweep(text)
    return Axis(name=name, factors=tuple(factors), is_range=is_range)


def _factors(item: str) -> list[float]:
    if ":" not in item:
        return [float(item)]
    low, high, count = item.split(":")
    _check_size(int(count))
    return [float(f"{factor:.12g}") for factor in np.linspace(float(low), float(high), int(count))]


def _check_size(points: int) -> None:
    """Raise UserError for more points than a command is for."""
    if points > MOST_POINTS:
        raise UserError(f"{points:,} points are more than the {MOST_POINTS:,} of one command; ask for fewer factors.")


def _no_sweep(text: str) -> UserError:
    return UserError(
        f"'{text}' is no sweep; expected NAME=LOW:HIGH:COUNT or NAME=0.8,1,1.2, COUNT at least 1 (several names "
        "joined by commas act together)."
    )
