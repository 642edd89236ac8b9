"""Degradation curves: score against eps or factor, with the interval of every point.

Figures are made without pyplot: no window, no choice of backend, nothing left behind in matplotlib's global state.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports import files
from reports.remarks import number
from reports.summary import prepare, summarize

Kind = Literal["eps", "factor"]

STYLE: list[str | Path] = ["default", Path(__file__).with_name("figure.mplstyle")]
"""Matplotlib's defaults come first, so that nobody's own settings change our files."""

MARKERS = "osD^vPX"
STROKES = ("-", "-.", ":")
DASHES = ("--", (0, (2, 2)), (0, (8, 4)))

UNITS = {
    "dataset-std": "× dataset std",
    "policy-norm": "× policy std",
    "raw": "raw observation",
    "range": "× data range",
}


def degradation_plot(frame: pd.DataFrame, kind: Kind = "eps") -> Figure:
    """Mean against eps, or against factor: one line with its 95 % band per adversary, clean dashed.

    Budgets in different units or norms are different threats and get axes of their own. Lines start at the same
    condition without the adversary (eps 0, factor 1). A single eps (or factor) gives points with intervals side by
    side. Conditions of an attack and a perturbation together are drawn over factor, and over eps only where no
    attack stands alone. Raw returns are drawn if a policy has no normalized score.

    Raises:
        ValueError: no rows with an attack (kind eps) or a perturbation (kind factor); or as `summarize`.
    """
    adversary, other = ("attack", "perturbation") if kind == "eps" else ("perturbation", "attack")
    summary = summarize(_comparable(frame))
    chosen = summary[summary[adversary] != "none"]
    if chosen.empty:
        raise ValueError(f"there is no {adversary} in these results, so there is no curve over {kind} to draw.")
    if kind == "eps" and (chosen[other] == "none").any():
        chosen = chosen[chosen[other] == "none"]
    lines = _lines(chosen, summary, kind)
    budgets = [[line for line in lines if line.budget == b] for b in dict.fromkeys(line.budget for line in lines)]
    panels = budgets if kind == "eps" else [lines]
    with style.context(STYLE):
        figure = Figure(figsize=(1.8 + 4.6 * len(panels), 3.8), layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw(axes, panel, kind)
            _draw_clean(axes, summary[summary["block"] == "clean"])
            axes.set_ylabel("return" if (summary["metric"] == "return").any() else "normalized score (100 = expert)")
        legend = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
        figure.legend(list(legend.values()), list(legend), loc="outside right upper")
    return figure


def save(figure: Figure, stem: Path | str, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write `<stem>.<format>` for each format, whole or not at all; equal figures give equal bytes."""
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


def _comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores and raw returns never share an axis: raw returns for all, if one policy has only those."""
    return frame.assign(score=np.nan) if prepare(frame)["metric"].nunique() > 1 else frame


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One adversary against one policy: its conditions, and the one without it as `start` (or no row)."""

    name: str
    budget: tuple[str, str]  # unit, norm
    points: pd.DataFrame
    start: pd.DataFrame
    look: dict[str, Any]


def _lines(chosen: pd.DataFrame, summary: pd.DataFrame, kind: Kind) -> list[_Line]:
    """Colour and marker tell the adversary, the stroke tells the policy."""
    budget, fixed = ["unit", "norm"], ["perturbation", "factor"]
    varied = ["attack", *budget] if kind == "eps" else ["perturbation"]
    fixed = fixed if kind == "eps" else ["attack", "eps", *budget]
    policies = list(summary["policy"].unique())
    adversaries: list[str] = []
    lines = []
    for _, points in chosen.groupby(["policy", *varied, *fixed], sort=False):
        row = points.iloc[0]
        beside = f", {row[fixed[0]]} {'' if kind == 'eps' else 'eps '}{number(row[fixed[1]])}"
        name = row[varied[0]] + ("" if row[fixed[0]] == "none" else beside)
        adversaries += [name] if name not in adversaries else []
        same = (summary[["policy", *fixed]] == row[["policy", *fixed]]).all(axis=1)
        place = adversaries.index(name)
        look = {
            "color": f"C{place % 7}",
            "marker": MARKERS[place % len(MARKERS)],
            "linestyle": STROKES[policies.index(row["policy"]) % len(STROKES)],
            "label": f"{row['policy']}: {name}" if len(policies) > 1 else name,
        }
        start = summary[same & (summary[varied[0]] == "none")]
        lines.append(
            _Line(name=look["label"], budget=(row["unit"], row["norm"]), points=points, start=start, look=look)
        )
    return lines


def _draw(axes: Axes, lines: list[_Line], kind: Kind) -> None:
    label = "factor (1 = untouched simulation)"
    if kind == "eps":
        unit, norm = lines[0].budget
        label = f"eps ({UNITS.get(unit, unit)}, {norm})"
    values = {float(value) for line in lines for value in line.points[kind]}
    if len(values) == 1:
        _draw_points(axes, lines)
        label = label.replace(kind, f"{kind} = {number(*values)}", 1)
    else:
        _draw_curves(axes, lines, kind)
    axes.set_xlabel(label)


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


def _draw_clean(axes: Axes, clean: pd.DataFrame) -> None:
    for place, (_, row) in enumerate(clean.iterrows()):
        name = "clean" if len(clean) == 1 else f"{row['policy']}: clean"
        axes.axhline(row["mean"], color="black", linestyle=DASHES[place % len(DASHES)], linewidth=1, label=name)
