"""Degradation curves: score against eps or factor, with the interval of every point.

Figures are drawn without pyplot, so they open no window and leave matplotlib's global state alone.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import files
from reports.figures.labels import first, label, say
from reports.findings.sensors import elsewhere
from reports.study import parts
from reports.study.conditions import is_composition
from reports.study.grids import SEPARATOR
from reports.study.names import attack_name, number, perturbation_name
from reports.study.summary import Results, study_of
from reports.study.worst import WORST

Kind = Literal["eps", "factor"]

STYLE: list[str | Path] = ["default", Path(__file__).with_name("figure.mplstyle")]
"""Styles in order: matplotlib's defaults come first, so that a user's own settings do not change the files."""

WIDE = 3
"""Number of panels in a row."""

PANELS, LINES, CLEAN = 6, 24, 6
"""Maximum numbers of panels, of curves per panel, and of clean levels per panel."""

MARKERS = "osD^vPX"
STROKES = ("-", "-.", ":")
DASHES = ("--", (0, (2, 2)), (0, (8, 4)))

UNITS = {
    "dataset-std": "× dataset std",
    "policy-norm": "× policy std",
    "rollout-std": "× std of clean episodes",
    "raw": "raw observation",
    "range": "× data range",
}


def degradation_plot(results: Results, kind: Kind = "eps") -> Figure:
    """A figure of the mean against eps or factor: one line with its 95 % band per adversary, clean dashed.

    Every unit and norm has its own panel; so has every unit of factors (multiples, wind in m/s, latency in steps).
    A line starts at the same condition without the adversary: eps 0, or the nominal factor. A single eps (or factor)
    gives points with intervals. Grids and samples are left out (see `heat_maps`), and so are attacks on single sensors
    (see `sensor_plot`). An attack together with a perturbation is drawn over factor; over eps only if no attack was
    evaluated alone. If a policy has no normalized score, raw returns are drawn.

    Raises:
        ValueError: no rows with an attack (kind eps) or a perturbation (kind factor); or as `summarize`.
    """
    adversary, other = ("attack", "perturbation") if kind == "eps" else ("perturbation", "attack")
    summary = study_of(results).comparable.summary
    chosen = summary[(summary[adversary] != "none") & ~elsewhere(summary)]
    if chosen.empty:
        raise ValueError(f"there is no {adversary} in these results, so there is no curve over {kind} to draw.")
    if kind == "eps" and (chosen[other] == "none").any():
        chosen = chosen[chosen[other] == "none"]
    lines = _lines(chosen, summary, kind)
    scales = sorted(dict.fromkeys(line.scale for line in lines), key=lambda scale: not scale.startswith(kind))
    panels = [first([line for line in lines if line.scale == scale], LINES) for scale in first(scales, PANELS)]
    clean = first(list(summary[summary["block"] == "clean"].iterrows()), CLEAN)
    rows, columns = -(-len(panels) // WIDE), min(len(panels), WIDE)
    longer = max(0, max(len(line.name) for line in lines) - 24)  # long names, such as those of files, need more width
    with style.context(STYLE):
        figure = Figure(figsize=(1.8 + 4.6 * columns + 0.075 * longer, 3.8 * rows), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
        for axes in places[len(panels) :]:
            axes.remove()
        for axes, panel in zip(places, panels, strict=False):
            _draw(axes, panel, kind)
            _draw_clean(axes, [row for _, row in clean], alone=(summary["block"] == "clean").sum() == 1)
            axes.set_ylabel(score_label(summary))
            axes.yaxis.set_tick_params(labelleft=True)
        drawn = [line for axes in figure.axes for line in axes.get_lines()]
        drawn.sort(key=lambda line: line.get_color() == "black")  # clean last
        legend = {str(line.get_label()): line for line in drawn}
        figure.legend(list(legend.values()), list(legend), loc="outside right upper")
        say(figure, of=len(lines), shown=sum(map(len, panels)), what="curves")
    return figure


def degradation_plots(results: Results) -> dict[str, Figure]:
    """The plots of `degradation_plot` that these results allow, by file name without ending; raises as `summarize`."""
    study = study_of(results)
    alone = study.summary[~elsewhere(study.summary)]
    kinds: dict[Kind, str] = {"eps": "attack", "factor": "perturbation"}
    shown = [kind for kind, column in kinds.items() if (alone[column] != "none").any()]
    return {f"degradation_{kind}": degradation_plot(study, kind) for kind in shown}


def score_label(summary: pd.DataFrame) -> str:
    """The label of an axis of means."""
    return "return" if (summary["metric"] == "return").any() else "normalized score (100 = expert)"


def save(figure: Figure, stem: Path | str, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write `<stem>.<format>` for each format and return the paths. Equal figures give equal bytes."""
    undated: dict[str, dict[str, str | None]] = {
        "svg": {"Date": None},
        "png": {"Software": None},
        "pdf": {"CreationDate": None},
    }
    paths = []
    for name in formats:
        buffer = io.BytesIO()
        with style.context(STYLE):
            figure.savefig(buffer, format=name, metadata=undated.get(name))
        paths.append(Path(f"{stem}.{name}"))
        files.replace(paths[-1], buffer.getvalue())
    return paths


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One adversary against one policy: its conditions, and the condition without it as `start` (or no row)."""

    name: str
    scale: str  # label of the horizontal axis; lines with one label share a panel
    points: pd.DataFrame
    start: pd.DataFrame
    look: dict[str, Any]


def _lines(chosen: pd.DataFrame, summary: pd.DataFrame, kind: Kind) -> list[_Line]:
    """All lines of a figure. Colour and marker encode the adversary, the line style encodes the policy."""
    budget, fixed = ["unit", "norm"], ["perturbation", "factor"]
    varied = ["attack", *budget] if kind == "eps" else ["perturbation"]
    fixed = fixed if kind == "eps" else ["attack", "eps", *budget]
    policies = list(summary["policy"].unique())
    adversaries: list[str] = []
    lines = []
    for _, points in chosen.groupby(["policy", *varied, *fixed], sort=False):
        row = points.iloc[0]
        beside = f"{row['perturbation']} {number(row['factor'])}" if kind == "eps" else attack_name(row)
        own = row["attack"] if kind == "eps" else perturbation_name(row)
        name = own if row[fixed[0]] == "none" else f"{own}, {beside}"
        adversaries += [name] if name not in adversaries else []
        shared = ["policy", *fixed]
        if kind == "factor" and row["attack"] == "none":  # then the unit is that of perturbed sensors, if any
            shared = [name for name in shared if name not in budget]
        same = (summary[shared] == row[shared]).all(axis=1)
        look = _colour(adversaries.index(name), row["attack"]) | {
            "linestyle": STROKES[policies.index(row["policy"]) % len(STROKES)],
            "label": f"{label(row['policy'])}: {label(name)}" if len(policies) > 1 else label(name),
        }
        start = summary[same & (summary[varied[0]] == "none")]
        if kind == "factor":  # at the nominal factor of its last part a composition still has its fixed parts
            composed = is_composition(points["perturbation"]).any()
            start = (start.iloc[:0] if composed else start).assign(factor=row["nominal"])
        lines.append(_Line(name=look["label"], scale=_scale(row, kind), points=points, start=start, look=look))
    return lines


def _colour(place: int, attack: str) -> dict[str, Any]:
    """Colour and marker of a line: `worst` is black and on top, and no two others are alike."""
    if attack == WORST:
        return {"color": "black", "marker": "D", "linewidth": 2.2, "zorder": 3}
    return {"color": f"C{place % 7}", "marker": MARKERS[(place + place // 7) % len(MARKERS)]}


def _scale(row: pd.Series, kind: Kind) -> str:
    if kind == "eps":
        return f"eps ({label(UNITS.get(row['unit'], row['unit']))}, {label(row['norm'])})"
    unit = str(row["measured_in"]).split(SEPARATOR)[-1]
    if row["nominal"] == 1 and not unit:
        return "factor (1 = nominal)"
    return parts.label(label(row["perturbation"].split(",")[-1].partition("@")[0]), row["nominal"], label(unit))


def _draw(axes: Axes, lines: list[_Line], kind: Kind) -> None:
    scale = lines[0].scale
    values = {float(value) for line in lines for value in line.points[kind]}
    if len(values) == 1:
        _draw_points(axes, lines)
        scale = scale.replace(" (", f" = {number(*values)} (", 1)
    else:
        _draw_curves(axes, lines, kind)
    axes.set_xlabel(scale)


def _draw_curves(axes: Axes, lines: list[_Line], kind: Kind) -> None:
    for line in lines:
        points = pd.concat([line.points, line.start]).drop_duplicates(kind).sort_values(kind)
        axes.plot(points[kind], points["mean"], **line.look)
        axes.fill_between(
            points[kind], points["low"], points["high"], color=line.look["color"], alpha=0.18, linewidth=0
        )


def _draw_points(axes: Axes, lines: list[_Line]) -> None:
    for x, line in enumerate(lines):
        point = line.points.iloc[0]
        axes.plot([x], [point["mean"]], **(line.look | {"linestyle": "none"}))
        axes.vlines(x, point["low"], point["high"], color=line.look["color"])
    axes.set_xticks(range(len(lines)), [line.name for line in lines], rotation=0 if len(lines) < 5 else 30)
    axes.set_xlim(-0.6, len(lines) - 0.4)


def _draw_clean(axes: Axes, clean: list[pd.Series], *, alone: bool) -> None:
    for place, row in enumerate(clean):
        name = "clean" if alone else f"{label(row['policy'])}: clean"
        axes.axhline(row["mean"], color="black", linestyle=DASHES[place % len(DASHES)], linewidth=1, label=name)
