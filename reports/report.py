"""A report folder: the tables, their numbers, curves and heat maps, from the results alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from reports.figures import curves, heatmaps, plots, sensor_bars
from reports.numbers import budgets, gap, sensors
from reports.numbers.grids import families
from reports.numbers.summary import Results, study, summarize
from reports.page.html import html_page
from reports.rows import files
from reports.tables import compact, pivots, robustness
from reports.tables.formats import to_csv, to_latex, to_markdown
from reports.words.remarks import notes

FORMATS = ("png", "svg")
ENDINGS = ("png", "svg", "pdf")
FILES = ("index.html", "table.md", "table.csv", "table.tex")
EVERY_CELL = ("effects", "attacks", "perturbations")
PLOTS = ("degradation_eps", "degradation_factor", "sensors", "distribution", "ladder", "profile", "heatmap_*_*")
"""Plots without their endings; there is one heat map for every two perturbations that form a grid."""


def write_report(
    results: Results,
    folder: Path | str,
    sidecar: Mapping[str, object] | None = None,
    *,
    formats: Sequence[str] = FORMATS,
) -> dict[str, Path]:
    """Write the report of a results table and return its files by name (see FILES and PLOTS).

    index.html is one self-contained page with all of it, table.md has the rounded tables with caption and notes,
    table.csv every number of `summarize` in full precision, table.tex the tables for a paper. Every plot that the
    results allow is written in the `formats` (png, svg, pdf), and one left by an earlier report is removed. `sidecar`
    (what produced the results) ends up in the page and at the end of table.md.
    Equal results give equal bytes. Raises ValueError as `summarize` does.
    """
    folder, given = Path(folder), study(results, sidecar)
    texts = {
        "table.md": markdown(given, sidecar),
        "table.csv": to_csv(summarize(given)),
        "table.tex": latex(given),
    }
    for name, text in texts.items():
        files.replace(folder / name, text.encode())
    written = {name: folder / name for name in texts}
    for draw in (curves.degradation_plots, sensor_bars.sensor_plots, heatmaps.heat_maps, plots.plots):
        for stem, figure in draw(given).items():
            written |= {path.name: path for path in curves.save(figure, folder / stem, formats)}
    drawn = {name: path.read_bytes() for name, path in written.items() if path.suffix in (".svg", ".png")}
    written = {"index.html": folder / "index.html"} | written
    files.replace(written["index.html"], html_page(given, sidecar, drawn).encode())
    for earlier in (path for stem in PLOTS for ending in ENDINGS for path in folder.glob(f"{stem}.{ending}")):
        if earlier.name not in written:
            earlier.unlink(missing_ok=True)
    return written


def markdown(results: Results, sidecar: Mapping[str, object] | None = None) -> str:
    """The table with caption, grids and samples, notes as a list and, if given, where the results come from."""
    given = study(results, sidecar)
    text = to_markdown(robustness.robustness_table(given), robustness.caption(given))
    halving = budgets.budget_table(given)
    if len(halving):
        text += "\n" + to_markdown(halving, budgets.CAPTION)
    single = sensors.sensor_table(given)
    if len(single):
        text += "\n" + to_markdown(single, sensors.CAPTION)
    gaps = gap.gap_table(given)
    if len(gaps):
        text += "\n" + to_markdown(gaps, gap.CAPTION)
    together = pivots.family_table(given)
    if len(together):
        text += "\n" + to_markdown(together, pivots.OVERVIEW)
    for family in families(summarize(given)):
        if family.axes:
            text += "\n" + to_markdown(pivots.grid_table(family), pivots.grid_caption(family))
    found = notes(given)
    if found:
        text += "\n" + "".join(f"- {note}\n" for note in found)
    if sidecar:
        text += f"\n```json\n{json.dumps(_short(sidecar), indent=2, default=str)}\n```\n"
    return text


def _short(sidecar: Mapping[str, object]) -> dict[str, object]:
    """Without what is told of every cell, which the page lists and a reader of Markdown would have to scroll past."""
    runs = sidecar.get("runs")
    if not isinstance(runs, list):
        return dict(sidecar)
    return {**sidecar, "runs": [{name: value for name, value in run.items() if name not in EVERY_CELL} for run in runs]}


def latex(results: Results) -> str:
    """A table per block, policies against conditions, then sensors and attack gap; for documents with booktabs."""
    given = study(results)
    caption = robustness.caption(given)
    found = [(caption, table) for table in compact.paper_tables(given).values()]
    found += [(sensors.CAPTION, sensors.sensor_table(given))]
    found += [(gap.CAPTION, gap.gap_table(given))]
    return "\n".join(to_latex(table, caption) for caption, table in found if len(table))
