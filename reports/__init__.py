"""Reports: from a tidy table of episodes to numbers with intervals, tables and curves.

    frame = reports.read("results.csv")
    print(reports.to_markdown(reports.robustness_table(frame), reports.caption(frame)))
    reports.write_report(frame, "report")

Names are fetched on first use: whoever only writes results does not wait for scipy and matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.bootstrap import BOOTSTRAP_SEED as BOOTSTRAP_SEED
    from reports.bootstrap import bootstrap_interval as bootstrap_interval
    from reports.budgets import budget_numbers as budget_numbers
    from reports.budgets import budget_table as budget_table
    from reports.compact import policy_table as policy_table
    from reports.compare import Comparison as Comparison
    from reports.compare import compare_results as compare_results
    from reports.comparison_text import comparison_markdown as comparison_markdown
    from reports.curves import degradation_plot as degradation_plot
    from reports.curves import save as save
    from reports.formats import to_csv as to_csv
    from reports.formats import to_html as to_html
    from reports.formats import to_latex as to_latex
    from reports.formats import to_markdown as to_markdown
    from reports.gap import gap_numbers as gap_numbers
    from reports.gap import gap_table as gap_table
    from reports.gates import Gate as Gate
    from reports.gates import fail_under as fail_under
    from reports.gates import failures as failures
    from reports.gates import read_gates as read_gates
    from reports.grids import Family as Family
    from reports.grids import families as families
    from reports.heatmaps import heat_maps as heat_maps
    from reports.means import Interval as Interval
    from reports.means import mean_interval as mean_interval
    from reports.page import html_page as html_page
    from reports.pivots import family_table as family_table
    from reports.pivots import grid_table as grid_table
    from reports.plots import distribution_plot as distribution_plot
    from reports.plots import ladder_plot as ladder_plot
    from reports.plots import profile_plot as profile_plot
    from reports.ranking import leaders as leaders
    from reports.report import markdown as markdown
    from reports.report import write_report as write_report
    from reports.results import append as append
    from reports.results import load_many as load_many
    from reports.results import read as read
    from reports.results import write as write
    from reports.schema import KEY as KEY
    from reports.schema import SCHEMA as SCHEMA
    from reports.schema import check as check
    from reports.scores import paired_difference as paired_difference
    from reports.scores import probability_of_improvement as probability_of_improvement
    from reports.sensor_bars import sensor_plot as sensor_plot
    from reports.sensors import sensor_numbers as sensor_numbers
    from reports.sensors import sensor_table as sensor_table
    from reports.statistics import curve_area as curve_area
    from reports.statistics import cvar as cvar
    from reports.statistics import improvement_probability as improvement_probability
    from reports.statistics import iqm as iqm
    from reports.statistics import mean as mean
    from reports.statistics import median as median
    from reports.statistics import normalized_std as normalized_std
    from reports.statistics import optimality_gap as optimality_gap
    from reports.statistics import performance_profile as performance_profile
    from reports.summary import load_study as load_study
    from reports.summary import summarize as summarize
    from reports.tables import caption as caption
    from reports.tables import notes as notes
    from reports.tables import robustness_table as robustness_table

NAMES = {
    "compare": ("Comparison", "compare_results"),
    "comparison_text": ("comparison_markdown",),
    "bootstrap": ("BOOTSTRAP_SEED", "bootstrap_interval"),
    "budgets": ("budget_numbers", "budget_table"),
    "compact": ("policy_table",),
    "curves": ("degradation_plot", "save"),
    "formats": ("to_csv", "to_html", "to_latex", "to_markdown"),
    "gap": ("gap_numbers", "gap_table"),
    "gates": ("Gate", "fail_under", "failures", "read_gates"),
    "page": ("html_page",),
    "grids": ("Family", "families"),
    "heatmaps": ("heat_maps",),
    "means": ("Interval", "mean_interval"),
    "pivots": ("family_table", "grid_table"),
    "plots": ("distribution_plot", "ladder_plot", "profile_plot"),
    "ranking": ("leaders",),
    "report": ("markdown", "write_report"),
    "results": ("append", "load_many", "read", "write"),
    "schema": ("KEY", "SCHEMA", "check"),
    "scores": ("paired_difference", "probability_of_improvement"),
    "sensor_bars": ("sensor_plot",),
    "sensors": ("sensor_numbers", "sensor_table"),
    "statistics": (
        *("curve_area", "cvar", "improvement_probability", "iqm", "mean", "median", "normalized_std"),
        *("optimality_gap", "performance_profile"),
    ),
    "summary": ("load_study", "summarize"),
    "tables": ("caption", "notes", "robustness_table"),
}
"""Module → the public names that live there."""


if not TYPE_CHECKING:  # a type checker that saw this would accept any name

    def __getattr__(name: str) -> object:
        for module, names in NAMES.items():
            if name in names:
                return getattr(import_module(f"reports.{module}"), name)
        raise AttributeError(f"module 'reports' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(name for names in NAMES.values() for name in names)
