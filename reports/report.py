"""The report of results as a folder: page, tables, numbers and figures, from the results alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from reports import files
from reports.figures import curves, heatmaps, plots, sensor_bars
from reports.page.html import html_page
from reports.rows.printable import LONGEST, cut
from reports.study.grids import families
from reports.study.provenance import runs_of
from reports.study.summary import Results, study_of
from reports.tables import budgets, compact, gap, pivots, robustness, searched, sensors
from reports.tables.formats import plain, to_csv, to_latex, to_markdown
from reports.words.remarks import notes

MOST_LINES = 2000
"""Maximum number of lines of JSON at the end of table.md."""

FORMATS = ("png", "svg")
ENDINGS = ("png", "svg", "pdf")
FILES = ("index.html", "table.md", "table.csv", "table.tex")
EVERY_CELL = ("effects", "attacks", "perturbations")
PLOTS = ("degradation_eps", "degradation_factor", "sensors", "distribution", "ladder", "profile", "heatmap_*_*")
"""Names of plots without their endings; every pair of perturbations that forms a grid has its heat map."""


def write_report(
    results: Results,
    folder: Path | str,
    sidecar: Mapping[str, object] | None = None,
    *,
    formats: Sequence[str] = FORMATS,
) -> dict[str, Path]:
    """Write the report of a results table and return its files by name (see FILES and PLOTS).

    index.html is one self-contained page. table.md has the rounded tables with caption and notes, table.csv every
    number of `summarize` in full precision, table.tex the tables for a paper. Every plot that the results allow is
    written; plots of an earlier report that they do not allow are removed. Equal results give equal bytes.

    Args:
        results: the episodes.
        folder: the folder of the report; it is created if missing.
        sidecar: metadata of the results, shown on the page and at the end of table.md.
        formats: file formats of the plots: png, svg, pdf.

    Raises:
        ValueError: as `summarize` does.
    """
    folder, study = Path(folder), study_of(results, sidecar)
    excerpt = study.shown
    texts = {
        "table.md": markdown(excerpt, sidecar),
        "table.csv": to_csv(study.summary),
        "table.tex": latex(excerpt),
    }
    for name, text in texts.items():
        files.replace(folder / name, text.encode())
    written = {name: folder / name for name in texts}
    for draw in (curves.degradation_plots, sensor_bars.sensor_plots, heatmaps.heat_maps, plots.plots):
        for stem, figure in draw(excerpt).items():
            written |= {path.name: path for path in curves.save(figure, folder / stem, formats)}
    drawn = {name: path.read_bytes() for name, path in written.items() if path.suffix in (".svg", ".png")}
    written = {"index.html": folder / "index.html"} | written
    files.replace(written["index.html"], html_page(excerpt, sidecar, drawn).encode())
    for earlier in (path for stem in PLOTS for ending in ENDINGS for path in folder.glob(f"{stem}.{ending}")):
        if earlier.name not in written:
            earlier.unlink(missing_ok=True)
    return written


def markdown(results: Results, sidecar: Mapping[str, object] | None = None) -> str:
    """The tables with captions as Markdown, the notes as a list, and the sidecar as JSON if there is one."""
    study = study_of(results, sidecar).shown
    text = to_markdown(robustness.robustness_table(study), robustness.caption(study))
    worst_points = searched.search_table(study)
    if len(worst_points):
        text += "\n" + to_markdown(worst_points, searched.CAPTION)
    halving = budgets.budget_table(study)
    if len(halving):
        text += "\n" + to_markdown(halving, budgets.CAPTION)
    single = sensors.sensor_table(study)
    if len(single):
        text += "\n" + to_markdown(single, sensors.CAPTION)
    gaps = gap.gap_table(study)
    if len(gaps):
        text += "\n" + to_markdown(gaps, gap.CAPTION)
    together = pivots.family_table(study)
    if len(together):
        text += "\n" + to_markdown(together, pivots.OVERVIEW)
    for family in families(study.summary):
        if family.axes:
            text += "\n" + to_markdown(pivots.grid_table(family), pivots.grid_caption(family))
    sentences = notes(study)
    if sentences:
        text += "\n" + "".join(f"- {plain(note)}\n" for note in sentences)
    if sidecar:
        text += f"\n```json\n{_written(sidecar)}\n```\n"
    return text


def _written(sidecar: Mapping[str, object]) -> str:
    """The sidecar as JSON without control characters; long lines and long texts are cut."""
    lines = json.dumps(_short(sidecar), indent=2, default=str).split("\n")
    shown = [cut(line, 4 * LONGEST) for line in lines[:MOST_LINES]]
    return "\n".join([*shown, f"… and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else shown)


def _short(sidecar: Mapping[str, object]) -> dict[str, object]:
    """The sidecar without its entries per cell, which the page lists and which would make table.md too long."""
    if not isinstance(sidecar.get("runs"), list):
        return dict(sidecar)
    runs = [{name: value for name, value in run.items() if name not in EVERY_CELL} for run in runs_of(sidecar)]
    return {**sidecar, "runs": runs}


def latex(results: Results) -> str:
    """LaTeX tables: one per block with policies and conditions, then sensors and attack gaps; they need booktabs."""
    study = study_of(results).shown
    caption = robustness.caption(study)
    tables = [(caption, table) for table in compact.paper_tables(study).values()]
    tables += [(sensors.CAPTION, sensors.sensor_table(study))]
    tables += [(gap.CAPTION, gap.gap_table(study))]
    return "\n".join(to_latex(table, caption) for caption, table in tables if len(table))
