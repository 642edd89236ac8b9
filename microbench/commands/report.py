"""`microbench report`, and the output of every command with results: a table or JSON, and the gates that failed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import reports
from microbench.studies.eps50 import sentence
from microbench.tasks.anchors import known_anchors
from reports.rows.printable import printable
from reports.rows.results import RESULTS
from reports.study.provenance import read_sidecars
from reports.study.summary import Results, Study, study_of


@dataclass(frozen=True, kw_only=True)
class Report:
    """A written report: the study of its episodes, and its files by name."""

    study: Study
    files: dict[str, Path]


def report(paths: Sequence[Path], out: Path) -> Report:
    """Write one report on results files or run folders, with the metadata of their results.json.

    Raises:
        ValueError: a damaged file, or two that disagree about an episode.
        OSError: a file cannot be read or written.

    """
    results = [results_file(path) for path in paths]
    about = read_sidecars(results)
    study = reports.load_study(results, about, known_anchors())
    return Report(study=study, files=reports.write_report(study, out, about if about["runs"] else None))


def results_file(path: Path) -> Path:
    """The table in a run folder, or the path itself."""
    return path / RESULTS if path.is_dir() else path


def gates(file: Path | None, limit: float | None) -> list[reports.Gate]:
    """The gates of `--gates` and `--fail-under`; none without these options.

    Raises:
        ValueError: the file is damaged or has a key that no gate has.
        OSError: the file cannot be read.

    """
    in_file = reports.read_gates(file) if file is not None else []
    return in_file if limit is None else [*in_file, reports.fail_under(limit)]


def printed(
    results: Results,
    files: Mapping[str, Path],
    failed: Iterable[str],
    *,
    as_json: bool,
    eps50: Sequence[Mapping[str, Any]] = (),
    searched: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The table or its numbers as JSON, the results of searches, failed gates, and where everything is."""
    shown = study_of(results).shown
    if as_json:
        cells, gaps = (
            json.loads(table.to_json(orient="records", double_precision=15))
            for table in (reports.summarize(results), reports.gap_numbers(shown))
        )
        where = {name: str(path) for name, path in files.items()}
        summary = {"cells": cells, "gaps": gaps, "notes": reports.notes(shown), "failed": list(failed), "files": where}
        single = json.loads(reports.sensor_numbers(shown).to_json(orient="records", double_precision=15))
        extra = {"sensors": single, "eps50": list(eps50), "searched": list(searched)}
        summary |= {name: item for name, item in extra.items() if item}
        return json.dumps(summary, indent=2)
    budgets = "".join(f"{sentence(one)}\n" for one in eps50)
    return (
        reports.markdown(shown)
        + "\n"
        + (budgets and budgets + "\n")
        + "\n".join(f"{name}: {printable(str(path))}" for name, path in files.items())
    )
