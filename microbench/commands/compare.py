"""`microbench compare` compares two results."""

import json
from pathlib import Path

import reports
from microbench.commands.report import results_file
from microbench.tasks.anchors import known_anchors
from reports.study.provenance import read_sidecars
from reports.tables.comparison import sentences


def compare(a: Path, b: Path) -> reports.Comparison:
    """Compare the results in B with those in A, files or run folders.

    Raises:
        ValueError: a damaged file, or nothing in common.
        OSError: a file cannot be read.

    """
    before, after = results_file(a), results_file(b)
    frames = reports.read(before), reports.read(after)
    return reports.compare_results(*frames, read_sidecars([before]), read_sidecars([after]), anchors=known_anchors())


def printed(comparison: reports.Comparison, *, as_json: bool) -> str:
    """The comparison as a table with sentences, or as JSON."""
    if not as_json:
        return reports.comparison_markdown(comparison).rstrip()
    content = {
        "conditions": json.loads(comparison.table.to_json(orient="records", double_precision=15)),
        "losses": comparison.losses,
        "only_a": comparison.only_a,
        "only_b": comparison.only_b,
        "unpaired": comparison.unpaired,
        "changes": comparison.changes,
        "sentences": sentences(comparison),
    }
    return json.dumps(content, indent=2)
