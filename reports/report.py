"""A report folder: the table, its numbers and its curves, from the results alone."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from reports import curves, files, tables
from reports.summary import summarize

PLOTS = ("degradation_eps.png", "degradation_eps.svg", "degradation_factor.png", "degradation_factor.svg")
FILES = ("table.md", "table.csv", *PLOTS)


def write_report(
    frame: pd.DataFrame, folder: Path | str, sidecar: Mapping[str, object] | None = None
) -> dict[str, Path]:
    """Write the report of a results table and return its files by name (see FILES).

    table.md has the rounded table with caption and notes, table.csv every number of `summarize` in full precision; a
    degradation plot is written for eps if there are attacks, for factor if there are perturbations, and one left by an
    earlier report is removed if not. `sidecar` (what produced the results) ends up at the end of table.md. Equal
    results give equal bytes. Raises ValueError as `summarize` does.
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
        text += f"\n```json\n{json.dumps(dict(sidecar), indent=2, default=str)}\n```\n"
    return text
