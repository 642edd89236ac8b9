"""Heat maps of the mean score over a grid of two perturbations, for every policy and attack."""

from urllib.parse import quote

import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports.figures.curves import STYLE, score_label
from reports.figures.labels import LONGEST_TITLE, first, label, say
from reports.rows.printable import cut
from reports.study import parts
from reports.study.grids import Family, families
from reports.study.names import attack_name, point_name, short
from reports.study.summary import Results, study_of

COLOURS = "viridis"
"""Colour map: perceptually uniform, monotonic in lightness, and safe for common colour blindness."""

FIGURES, SIDE = 6, 5
"""Maximum numbers of figures, and of rows and columns of panels in a figure."""

WRITTEN = 12
"""Maximum number of rows and columns of a grid with written values, and of labelled ticks per axis."""


def heat_maps(results: Results) -> dict[str, Figure]:
    """A figure per pair of perturbations that form a grid, by file name without ending (`heatmap_friction_gravity`).

    There is one panel per policy and attack, and all share one colour scale. The title of a panel names fixed
    perturbations. The nominal cell is outlined, † marks flags or missing returns, and empty cells were not measured.
    Raises ValueError as `summarize` does.
    """
    summary = study_of(results).comparable.summary
    pairs: dict[tuple[str, str], list[Family]] = {}
    for family in families(summary):
        if family.axes:
            pairs.setdefault(family.axes, []).append(family)
    measure = score_label(summary)
    return {
        "_".join(["heatmap", *(quote(cut(name, 40), safe="@+")[:100] for name in pair)]): _figure(grids, measure)
        for pair, grids in first(list(pairs.items()), FIGURES)
    }


def _figure(grids: list[Family], measure: str) -> Figure:
    """A figure with one row of panels per policy and set of fixed perturbations, and one column per attack."""
    of = len(grids)
    rows = first(list(dict.fromkeys(_row(grid) for grid in grids)), SIDE)
    columns = first(list(dict.fromkeys(attack_name(grid.cells.iloc[0]) for grid in grids)), SIDE)
    grids = [grid for grid in grids if _row(grid) in rows and attack_name(grid.cells.iloc[0]) in columns]
    down, across = (max(grid.matrix("mean").shape[axis] for grid in grids) for axis in (0, 1))
    wide, high = (0.56, 0.4) if max(down, across) <= WRITTEN else (0.26, 0.22)  # inches of a cell
    across, down = min(across, 60), min(down, 60)
    size = (1.9 + len(columns) * (0.9 + wide * across), len(rows) * (1.1 + high * down))
    means = np.concatenate([grid.cells["mean"].to_numpy(np.float64) for grid in grids])
    finite = means[np.isfinite(means)] if np.isfinite(means).any() else np.array([0.0, 1.0])
    scale = Normalize(finite.min(), finite.max())
    with style.context(STYLE):
        figure = Figure(figsize=(max(size[0], 4.2), max(size[1], 2.6)), layout="constrained")
        panels = figure.subplots(len(rows), len(columns), squeeze=False)
        for axes in panels.flat:
            axes.set_visible(False)
        for grid in grids:
            attack = attack_name(grid.cells.iloc[0])
            axes = panels[rows.index(_row(grid)), columns.index(attack)]
            _draw(axes, grid, scale)
            heading = [_row(grid)] if len(rows) > 1 else [*_row(grid).partition(": ")[2:]]
            axes.set_title(
                "\n".join(label(line, LONGEST_TITLE) for line in [*heading, attack] if line), fontsize="medium"
            )
        figure.colorbar(ScalarMappable(scale, COLOURS), ax=panels, label=f"mean {measure}")
        say(figure, of=of, shown=len(grids), what="grids")
    return figure


def _row(grid: Family) -> str:
    return str(grid.cells["policy"].iloc[0]) + (f": with {point_name(grid.beside)}" if grid.beside else "")


def _draw(axes: Axes, grid: Family, scale: Normalize) -> None:
    axes.set_visible(True)
    means = grid.matrix("mean")
    # Rectangles instead of an image stay sharp at every size of an SVG or PDF.
    axes.pcolormesh(np.ma.masked_invalid(means), cmap=COLOURS, norm=scale, linewidth=0)
    axes.set_facecolor("0.92")
    axes.grid(False)
    axes.tick_params(length=0)
    for axis, values in zip((axes.yaxis, axes.xaxis), grid.values, strict=True):
        shown = range(0, len(values), -(-len(values) // WRITTEN))
        axis.set_ticks([place + 0.5 for place in shown], [short(values[place]) for place in shown])
    down, across = grid.axes or grid.names[-2:]
    axes.set_xlabel(parts.label(label(across), grid.nominal[across], label(grid.units[across])))
    axes.set_ylabel(parts.label(label(down), grid.nominal[down], label(grid.units[down])))
    if max(means.shape) <= WRITTEN:
        _write(axes, grid, scale)
    _outline(axes, grid)


def _write(axes: Axes, grid: Family, scale: Normalize) -> None:
    means, marked = grid.matrix("mean"), grid.matrix("marked")
    for row, column in np.argwhere(~np.isnan(marked)):
        value = means[row, column]
        text = ("" if np.isnan(value) else f"{value:z.0f}") + "†" * int(marked[row, column])
        light = np.isnan(value) or np.dot(colormaps[COLOURS](scale(value))[:3], (0.299, 0.587, 0.114)) > 0.42
        colour = "black" if light else "white"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour, fontsize=9)


def _outline(axes: Axes, grid: Family) -> None:
    for row, column in np.argwhere(grid.matrix("untouched") == 1):
        for colour, width in (("white", 4.0), ("black", 1.8)):  # visible on dark and on light cells
            axes.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=colour, linewidth=width, clip_on=False))
