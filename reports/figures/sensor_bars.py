"""Bars of the drop of the score under attacks on single sensors."""

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports.figures.curves import STYLE, UNITS
from reports.figures.labels import LONGEST, first, label, say
from reports.findings.sensors import sensor_numbers
from reports.study.names import number
from reports.study.summary import Results, study_of

PANEL = ["policy", "attack", "eps", "unit", "norm"]
COLOURS = ["attack", "eps", "unit", "norm"]

PANELS = 9
"""Maximum number of panels."""

MOST_BARS = 30
"""Maximum number of bars in a panel, those of the largest drops; the title counts the others."""

WIDE = 3
"""Number of panels in a row."""

GROUP_LIGHT = 0.45  # the share of its colour that the bar of a group keeps


def sensor_plots(results: Results) -> dict[str, Figure]:
    """The figure `sensors`, by file name without ending, if sensors are compared; raises as `summarize` does."""
    return {"sensors": sensor_plot(results)} if len(_measured(results)) else {}


def sensor_plot(results: Results) -> Figure:
    """A figure with a bar per sensor: the drop below clean with its 95 % interval, the largest on top.

    There is one panel per policy and threat. Pale bars are groups of sensors. The dashed line is the same attack on all
    sensors, if it was evaluated. Raw returns are drawn if a policy has no normalized score.

    Raises:
        ValueError: no two attacks on sensors share a threat; or as `summarize`.
    """
    numbers = _measured(results)
    if numbers.empty:
        raise ValueError("no two attacks on single sensors have the same budget, so there is nothing to compare.")
    threats = list(dict.fromkeys(numbers[COLOURS].itertuples(index=False, name=None)))
    every = [panel for _, panel in numbers.groupby(PANEL, sort=False)]
    panels = first(every, PANELS)
    rows, columns = -(-len(panels) // WIDE), min(len(panels), WIDE)
    bars = min(MOST_BARS, max(map(len, panels)))
    longest = min(LONGEST, max(numbers["sensor"].str.len()))
    size = (0.6 + (3.6 + 0.075 * longest) * columns, 0.5 + (0.9 + 0.24 * bars) * rows)
    with style.context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False, sharex=True).flatten()
        for axes in places[len(panels) :]:
            axes.remove()
        for axes, panel in zip(places, panels, strict=False):
            _draw(axes, panel, f"C{threats.index(tuple(panel.iloc[0][COLOURS])) % 7}")
            axes.set_title(_title(panel, several=numbers["policy"].nunique() > 1), fontsize="medium", loc="left")
        what = "return" if (numbers["metric"] == "return").any() else "normalized score, in points"
        figure.supxlabel(f"drop of the {what}, with 95 % interval", fontsize="medium")
        _legend(figure, numbers)
        say(figure, of=len(every), shown=len(panels), what="panels")
    return figure


def _measured(results: Results) -> pd.DataFrame:
    numbers = sensor_numbers(study_of(results).comparable)
    return numbers[numbers["drop"].notna()]


def _draw(axes: Axes, panel: pd.DataFrame, colour: str) -> None:
    shown = panel.head(MOST_BARS)
    y = np.arange(len(shown))[::-1]
    drop, low, high = (shown[name].to_numpy(np.float64) for name in ("drop", "drop_low", "drop_high"))
    bars = axes.barh(y, drop, height=0.7, color=colour)
    for bar, is_group in zip(bars, shown["is_group"], strict=True):
        bar.set_alpha(GROUP_LIGHT if is_group else 1.0)
    axes.hlines(y, low, high, color="black", linewidth=1.2)
    axes.axvline(0, color="black", linewidth=0.8)
    whole, whole_low, whole_high = panel[["whole", "whole_low", "whole_high"]].iloc[0]
    if np.isfinite(whole):
        if np.isfinite(whole_low):
            axes.axvspan(whole_low, whole_high, color="black", alpha=0.08, linewidth=0)
        axes.axvline(whole, color="black", linestyle="--", linewidth=1)
    marks = [" †" if flags else "" for flags in shown["flags"]]
    axes.set_yticks(y, [label(sensor) + mark for sensor, mark in zip(shown["sensor"], marks, strict=True)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)
    axes.xaxis.set_tick_params(labelbottom=True)


def _title(panel: pd.DataFrame, *, several: bool) -> str:
    row = panel.iloc[0]
    unit = label(UNITS.get(row["unit"], row["unit"]))
    threat = f"{label(row['attack'])}, eps {number(row['eps'])} ({unit}, {label(row['norm'])})"
    spare = len(panel) - MOST_BARS
    more = [f"the {MOST_BARS} largest of {len(panel)}"] if spare > 0 else []
    return "\n".join([*([label(row["policy"])] if several else []), threat, *more])


def _legend(figure: Figure, numbers: pd.DataFrame) -> None:
    """Draw a legend in grey, because colours encode attacks, which the titles of panels name."""
    keys: list[object] = [Patch(color="0.35", label="one sensor")]
    if numbers["is_group"].any():
        keys.append(Patch(color="0.35", alpha=GROUP_LIGHT, label="several sensors"))
    if numbers["whole"].notna().any():
        keys.append(figure.axes[0].plot([], [], color="black", linestyle="--", linewidth=1, label="all sensors")[0])
    figure.legend(handles=keys, loc="outside upper right", ncols=len(keys))
