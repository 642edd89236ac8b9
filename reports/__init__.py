"""Reports: intervals, tables, figures and gates from a table with one row per episode.

    frame = reports.read("results.csv")
    print(reports.to_markdown(reports.robustness_table(frame), reports.caption(frame)))
    reports.write_report(frame, "report")

Names are imported on first use, so a program that only writes results does not load scipy and matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.figures.curves import degradation_plot as degradation_plot
    from reports.figures.curves import save as save
    from reports.figures.heatmaps import heat_maps as heat_maps
    from reports.figures.plots import distribution_plot as distribution_plot
    from reports.figures.plots import ladder_plot as ladder_plot
    from reports.figures.plots import profile_plot as profile_plot
    from reports.figures.sensor_bars import sensor_plot as sensor_plot
    from reports.findings.budgets import budget_numbers as budget_numbers
    from reports.findings.comparison import Comparison as Comparison
    from reports.findings.comparison import compare_results as compare_results
    from reports.findings.gap import gap_numbers as gap_numbers
    from reports.findings.ranking import leaders as leaders
    from reports.findings.sensors import sensor_numbers as sensor_numbers
    from reports.gates import Gate as Gate
    from reports.gates import fail_under as fail_under
    from reports.gates import failures as failures
    from reports.gates import read_gates as read_gates
    from reports.page.html import html_page as html_page
    from reports.report import markdown as markdown
    from reports.report import write_report as write_report
    from reports.rows.results import append as append
    from reports.rows.results import load_many as load_many
    from reports.rows.results import read as read
    from reports.rows.results import write as write
    from reports.rows.schema import KEY as KEY
    from reports.rows.schema import SCHEMA as SCHEMA
    from reports.rows.schema import check as check
    from reports.statistics.bootstrap import BOOTSTRAP_SEED as BOOTSTRAP_SEED
    from reports.statistics.bootstrap import bootstrap_interval as bootstrap_interval
    from reports.statistics.means import Interval as Interval
    from reports.statistics.means import mean_interval as mean_interval
    from reports.statistics.of_arrays import curve_area as curve_area
    from reports.statistics.of_arrays import cvar as cvar
    from reports.statistics.of_arrays import improvement_probability as improvement_probability
    from reports.statistics.of_arrays import iqm as iqm
    from reports.statistics.of_arrays import mean as mean
    from reports.statistics.of_arrays import median as median
    from reports.statistics.of_arrays import normalized_std as normalized_std
    from reports.statistics.of_arrays import optimality_gap as optimality_gap
    from reports.statistics.of_arrays import performance_profile as performance_profile
    from reports.study.grids import Family as Family
    from reports.study.grids import families as families
    from reports.study.scores import paired_difference as paired_difference
    from reports.study.scores import probability_of_improvement as probability_of_improvement
    from reports.study.summary import load_study as load_study
    from reports.study.summary import summarize as summarize
    from reports.tables.budgets import budget_table as budget_table
    from reports.tables.compact import policy_table as policy_table
    from reports.tables.comparison import comparison_markdown as comparison_markdown
    from reports.tables.formats import to_csv as to_csv
    from reports.tables.formats import to_html as to_html
    from reports.tables.formats import to_latex as to_latex
    from reports.tables.formats import to_markdown as to_markdown
    from reports.tables.gap import gap_table as gap_table
    from reports.tables.pivots import family_table as family_table
    from reports.tables.pivots import grid_table as grid_table
    from reports.tables.robustness import caption as caption
    from reports.tables.robustness import robustness_table as robustness_table
    from reports.tables.sensors import sensor_table as sensor_table
    from reports.words.remarks import notes as notes

NAMES = {
    "figures.curves": (
        "degradation_plot",
        "save",
    ),
    "figures.heatmaps": ("heat_maps",),
    "figures.plots": (
        "distribution_plot",
        "ladder_plot",
        "profile_plot",
    ),
    "figures.sensor_bars": ("sensor_plot",),
    "findings.budgets": ("budget_numbers",),
    "findings.comparison": (
        "Comparison",
        "compare_results",
    ),
    "findings.gap": ("gap_numbers",),
    "findings.ranking": ("leaders",),
    "findings.sensors": ("sensor_numbers",),
    "gates": (
        "Gate",
        "fail_under",
        "failures",
        "read_gates",
    ),
    "page.html": ("html_page",),
    "report": (
        "markdown",
        "write_report",
    ),
    "rows.results": (
        "append",
        "load_many",
        "read",
        "write",
    ),
    "rows.schema": (
        "KEY",
        "SCHEMA",
        "check",
    ),
    "statistics.bootstrap": (
        "BOOTSTRAP_SEED",
        "bootstrap_interval",
    ),
    "statistics.means": (
        "Interval",
        "mean_interval",
    ),
    "statistics.of_arrays": (
        "curve_area",
        "cvar",
        "improvement_probability",
        "iqm",
        "mean",
        "median",
        "normalized_std",
        "optimality_gap",
        "performance_profile",
    ),
    "study.grids": (
        "Family",
        "families",
    ),
    "study.scores": (
        "paired_difference",
        "probability_of_improvement",
    ),
    "study.summary": (
        "load_study",
        "summarize",
    ),
    "tables.budgets": ("budget_table",),
    "tables.compact": ("policy_table",),
    "tables.comparison": ("comparison_markdown",),
    "tables.formats": (
        "to_csv",
        "to_html",
        "to_latex",
        "to_markdown",
    ),
    "tables.gap": ("gap_table",),
    "tables.pivots": (
        "family_table",
        "grid_table",
    ),
    "tables.robustness": (
        "caption",
        "robustness_table",
    ),
    "tables.sensors": ("sensor_table",),
    "words.remarks": ("notes",),
}
"""Module → its public names."""


if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        for module, names in NAMES.items():
            if name in names:
                return getattr(import_module(f"reports.{module}"), name)
        raise AttributeError(f"module 'reports' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(name for names in NAMES.values() for name in names)
