"""The sandwich of certificates: attack ≤ largest change ≤ bound, against the budget."""

import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from reports.figures.curves import MARKERS, STYLE, UNITS
from reports.figures.labels import label
from reports.tables.certificates import SERIES


def certificate_plot(certificates: pd.DataFrame) -> Figure:
    """Means over states of a frame of `reports.tables.certificates`; the band is where the truth lies.

    Lines start at eps 0, where nothing changes; where they span more than a factor of fifty, changes are on a
    logarithmic axis without it.
    """
    mean = certificates[certificates["over"] == "mean"].sort_values("eps")
    positive = mean[(mean["eps"] > 0) & (mean["random"] > 0)]
    spans = len(positive) > 1 and positive["ibp"].max() > 50 * positive["random"].min()
    zero = {"eps": 0.0, **dict.fromkeys((*SERIES, "bound"), 0.0)}
    points = positive if spans else pd.concat([pd.DataFrame([zero]), mean]).drop_duplicates("eps", keep="last")
    with style.context(STYLE):
        figure = Figure(figsize=(5.5, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(
            points["eps"], points["attack"], points["bound"], color="C0", alpha=0.15, linewidth=0, label="not known"
        )
        for place, (name, title) in enumerate(SERIES.items()):
            stroke = "-" if name in ("random", "attack") else "--"
            axes.plot(points["eps"], points[name], stroke, color=f"C{place}", marker=MARKERS[place], label=title)
        if spans:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # the style knows no formulas
            axes.yaxis.set_minor_formatter(NullFormatter())
        unit = str(mean["unit"].iloc[0])
        axes.set_xlabel(f"eps ({label(UNITS.get(unit, unit))}, {label(str(mean['norm'].iloc[0]))})")
        axes.set_ylabel("change of the action\n(half-widths of its box)")
        figure.legend(loc="outside right upper")
    return figure
