"""A report folder: the table, its numbers and its curves, from the results alone."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from reports import curves, files, tables
from reports.page import html_page
from reports.summary import summarize

PLOTS = ("degradation_eps.png", "degradation_eps.svg", "degradation_factor.png", "degradation_factor.svg")
FILES = ("index.html", "table.md", "table.csv", *PLOTS)


def write_report(
    frame: pd.DataFrame, folder: Path | str, sidecar: Mapping[str, object] | None = None
) -> dict[str, Path]:
    """Write the report of a results table and return its files by name (see FILES).

    index.html is one self-contained page with all of it, table.md the rounded table with caption and notes, table.csv
    every number of `summarize` in full precision; a degradation plot is written for eps if there are attacks, for
    factor if there are perturbations, and one left by an earlier report is removed if not. `sidecar` (what produced
    the results) ends up in the page and at the end of table.md. Equal results give equal bytes. Raises ValueError as
    `summarize` does.
    """
    folder = Path(folder)
    texts = {"table.md": markdown(frame, sidecar), "table.csv": tables.to_csv(summarize(frame))}
    for name, text in texts.items():
        files.replace(folder / name, text.encode())
    written = {name: folder / name for name in texts}
    kinds: dict[curves.Kind, str] = {"eps": "attack", "factor": "perturbation"}
    for kind, column in kinds.items():
        if (frame[column] != "none").any():
            paths = curves.save(curves.degradation_plot(frame, kind), folder / f"degradation_{kind}")
            written |= {path.name: path for path in paths}
    plots = {name: path.read_bytes() for name, path in written.items() if path.suffix in (".svg", ".png")}
    written = {"index.html": folder / "index.html"} | written
    files.replace(written["index.html"], html_page(frame, sidecar, plots).encode())
    for name in set(FILES) - set(written):
        (folder / name).unlink(missing_ok=True)
    return written


def markdown(frame: pd.DataFrame, sidecar: Mapping[str, object] | None = None) -> str:
    """The table with caption, its notes as a list and, if given, where the results come from."""
    text = tables.to_markdown(tables.robustness_table(frame), tables.caption(frame))
    found = tables.notes(frame)
    if found:
        text += "\n" + "".join(f"- {note}\n" for note in found)
    if sidecar:
        text += f"\n```json\n{json.dumps(_short(sidecar), indent=2, default=str)}\n```\n"
    return text


def _short(sidecar: Mapping[str, object]) -> dict[str, object]:
    """Without the effects of every cell, which the page lists and a reader of Markdown would have to scroll past."""
    runs = sidecar.get("runs")
    if not isinstance(runs, list):
        return dict(sidecar)
    return {**sidecar, "runs": [{name: told for name, told in run.items() if name != "effects"} for run in runs]}
