"""The page of a study as one HTML file: verdict, plots, tables, flags, effects and provenance.

Everything is inlined and escaped, so a page can be sent by mail or archived with a paper. A content security policy
forbids the file to load anything or to run any script but its own.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from reports.figures.pictures import pictures
from reports.findings.sensors import elsewhere
from reports.statistics.means import LEVEL
from reports.study import provenance
from reports.study.grids import families
from reports.study.names import condition_name
from reports.study.summary import CONDITION, Results, Study, study_of
from reports.tables import budgets, choices, searched, sensors
from reports.tables import gap as gap_tables
from reports.tables.listing import listings
from reports.tables.pivots import OVERVIEW, family_table, grid_caption, grid_table
from reports.tables.robustness import caption
from reports.words import verdict
from reports.words.explanations import of_flag, of_note
from reports.words.remarks import notes

HERE = Path(__file__).parent
MOST_FINDINGS = 12
"""Maximum number of sentences of a verdict; of more budgets the largest are kept."""

SUMMED = {"score": "normalized score (0 = random policy, 100 = expert)", "return": "raw return (no reference scores)"}


def html_page(
    results: Results, sidecar: Mapping[str, object] | None = None, plots: Mapping[str, bytes] | None = None
) -> str:
    """The page of a results table, as HTML text.

    Args:
        results: the episodes.
        sidecar: the metadata of the JSON file beside results.csv.
        plots: file name (`.svg` or `.png`) → content, in the order in which they are shown.

    Raises:
        ValueError: as `summarize` does.
    """
    study, runs = study_of(results, sidecar).shown, provenance.runs_of(sidecar)
    episodes, summary = study.episodes, study.summary
    script = (HERE / "page.js").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"prose": _prose, "typeset": typeset}
    template = environment.from_string((HERE / "page.html").read_text("utf-8"))
    return template.render(
        {
            "style": Markup((HERE / "page.css").read_text("utf-8")),
            "script": Markup(script),
            "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            "title": _title(episodes),
            "measure": " and ".join(SUMMED[name] for name in SUMMED if (summary["metric"] == name).any()),
            "level": f"{100 * LEVEL:g}",
            "caption": caption(study),
            "counts": _counts(episodes, summary),
            "policies": _policies(summary),
            "limits": verdict.limits(summary),
            "notes": [(sentence, of_note(sentence)) for sentence in notes(study)],
            "plots": pictures(plots or {}),
            "listings": listings(summary[~elsewhere(summary)]),
            "tables": _tables(study),
            "flags": _flags(episodes),
            "checkpoints": provenance.checkpoints(episodes),
            "effects": provenance.effects(runs),
            "versions": provenance.version_sets(runs),
            "machines": [*provenance.machines(runs), *provenance.named_files(runs)],
            "commands": provenance.again(runs),
            "duration": _duration(provenance.seconds(runs)),
        }
    )


def typeset(text: object) -> str:
    """The text with minus signs instead of hyphens before numbers, and no line break between number and unit."""
    minus = re.sub(r"(?<![\w.)\]])-(?=\d)", "−", str(text))
    return re.sub(r"(?<=\d),? (?=%|−?\d+\.\d+\])", lambda gap: gap[0].replace(" ", "\N{NO-BREAK SPACE}"), minus)


def _prose(text: str) -> Markup:
    """Escaped text with `code` as a code element and links as plain text."""
    parts = re.split(r"`([^`]+)`", re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text))
    marked = (Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts))
    return Markup("").join(marked)


def _title(episodes: pd.DataFrame) -> str:
    policies, tasks = episodes["policy"].unique(), episodes["task"].unique()
    who = ", ".join(policies) if len(policies) <= 3 else f"{len(policies)} policies"
    return f"{who} on {', '.join(tasks)}" if len(tasks) <= 3 else f"{who} on {len(tasks)} tasks"


def _counts(episodes: pd.DataFrame, summary: pd.DataFrame) -> list[tuple[str, str]]:
    runs = sorted(set(summary["seeds"]))
    return [
        (f"{len(episodes):,}", "episodes"),
        (str(summary.groupby(CONDITION).ngroups), "conditions"),
        (str(summary["policy"].nunique()), "policies" if summary["policy"].nunique() > 1 else "policy"),
        (
            "–".join(str(n) for n in dict.fromkeys((runs[0], runs[-1]))),
            "training runs" if runs[-1] > 1 else "training run",
        ),
    ]


def _policies(summary: pd.DataFrame) -> list[dict[str, Any]]:
    policies = []
    for policy, own in summary.groupby("policy", sort=False):
        findings = verdict.findings(own)
        spare = max(0, len(findings) - MOST_FINDINGS)  # order: clean, then budgets from the smallest
        # One tile per block; for attacks, the largest budget comes last and stays.
        tiles = {finding.cell["block"]: finding for finding in findings}
        policies.append(
            {
                "name": policy,
                "sentences": [verdict.sentence(one) for one in [*findings[:1], *findings[1 + spare :]]],
                "spare": spare,
                "tiles": [*tiles.values()],
            }
        )
    return policies


def _flags(episodes: pd.DataFrame) -> list[dict[str, Any]]:
    """Every flag in these episodes: its name, number of episodes, conditions and explanation."""
    flagged = episodes[episodes["flags"] != ""]
    fired = flagged.assign(flag=flagged["flags"].str.split(";")).explode("flag")
    return [
        {
            "name": name,
            "episodes": len(rows),
            "conditions": [condition_name(row) for _, row in rows.drop_duplicates(CONDITION).iterrows()],
            "explanation": of_flag(str(name)),
        }
        for name, rows in fired.groupby("flag")
    ]


def _tables(study: Study) -> list[tuple[str, pd.DataFrame]]:
    """Captions and tables: choices, curves over eps, sensors, gaps, grids and samples, each grid over its two axes."""
    tables = [(choices.CAPTION, choices.choice_table(study)), (budgets.CAPTION, budgets.budget_table(study))]
    tables += [(searched.CAPTION, searched.search_table(study))]
    tables += [(sensors.CAPTION, sensors.sensor_table(study)), (gap_tables.CAPTION, gap_tables.gap_table(study))]
    tables += [(OVERVIEW, family_table(study))]
    grids = [(grid_caption(family), grid_table(family)) for family in families(study.summary) if family.axes]
    return [(caption, table) for caption, table in (*tables, *grids) if len(table)]


def _duration(seconds: float) -> str:
    if not seconds:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
