"""Figures of one budget and of episodes: the ladder of attacks, distributions, and performance profiles."""

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures.curves import STROKES, STYLE, UNITS, score_label
from reports.figures.labels import LONGEST, first, label, say
from reports.findings.sensors import in_sensors
from reports.statistics.means import Floats, mean_interval
from reports.study.names import condition_name, number
from reports.study.summary import BLOCKS, Results, study_of
from reports.study.worst import WORST, contenders

BUDGET = ["unit", "norm", "eps"]

ROWS, PROFILES, POLICIES = 60, 24, 8
"""Maximum numbers of rows in all panels, of profiles, and of policies."""

DOTS = 100
"""Maximum number of episodes drawn as dots beside their box."""

THRESHOLDS = 101
"""Maximum number of steps of a profile, which otherwise has one at every score of an episode."""


def plots(results: Results) -> dict[str, Figure]:
    """The figures of this module that these results allow, by file name without ending; raises as `summarize` does."""
    study = study_of(results).comparable
    summary = study.summary
    if summary["mean"].isna().all():
        return {}
    figures = {"distribution": distribution_plot(study), "profile": profile_plot(study)}
    return figures if _rung(summary).empty else figures | {"ladder": ladder_plot(study)}


def ladder_plot(results: Results) -> Figure:
    """A figure of the mean under every attack of one budget, with its interval: weakest on top, clean dashed.

    There is one panel per policy. `worst` is the lowest rung, whatever its mean is. The budget is the largest of those
    with the most attacks. Attacks on perturbed robots are not shown.

    Raises:
        ValueError: no two attacks have the same budget; or as `summarize`.
    """
    summary = study_of(results).comparable.summary
    rung = _rung(summary)
    if rung.empty:
        raise ValueError("no two attacks in these results have the same budget, so there is no ladder to draw.")
    order = rung.groupby("attack", sort=False)["mean"].mean().sort_values(kind="stable").index.tolist()
    order = first(order, ROWS)
    policies = first(rung["policy"].unique().tolist(), POLICIES)
    drawn = rung[rung["attack"].isin(order) & rung["policy"].isin(policies)]
    with style.context(STYLE):
        order.sort(key=lambda attack: attack != WORST)  # stable: worst is the lowest rung
        figure, panels = _panels(policies, len(order), max(map(len, order)))
        for axes, policy in zip(panels, policies, strict=True):
            own = drawn[drawn["policy"] == policy]
            y = [order.index(attack) for attack in own["attack"]]
            axes.hlines(y, own["low"], own["high"], color="C0")
            axes.plot(own["mean"], y, marker="o", color="C0", linestyle="none", label="mean with 95 % interval")
            _draw_clean(axes, summary[(summary["block"] == "clean") & (summary["policy"] == policy)])
            axes.set_yticks(range(len(order)), [label(name) for name in order])
        unit, norm, eps = rung[BUDGET].iloc[0]
        title = f"eps {number(eps)} ({label(UNITS.get(unit, unit))}, {label(norm)})"
        say(figure, of=len(rung), shown=len(drawn), what="attacks")
        _finish(figure, panels, policies, f"{score_label(summary)}, {title}")
    return figure


def distribution_plot(results: Results) -> Figure:
    """A figure of the scores of episodes as box plots with the mean; one panel per policy.

    It shows clean, every attack at its largest budget, and the worst condition of every perturbation block. Boxes
    range from the first to the third quartile, whiskers to the last episode within 1.5 times that length. Up to 100
    episodes are also drawn as dots. Raises ValueError as `summarize` does.
    """
    study = study_of(results).comparable
    summary, selected = study.summary, _selected(study.summary)
    cells = _few(selected, ROWS)
    names = list(dict.fromkeys(condition_name(cell) for _, cell in cells.iterrows()))[::-1]
    values = _values(study.episodes, cells)
    policies = cells["policy"].unique().tolist()
    with style.context(STYLE):
        figure, panels = _panels(policies, len(names), max(map(len, names)))
        for axes, policy in zip(panels, policies, strict=True):
            for cell, row in cells[cells["policy"] == policy].iterrows():
                _draw_box(axes, names.index(condition_name(row)), values[str(cell)], row["mean"])
            axes.set_yticks(range(len(names)), [label(name) for name in names])
        say(figure, of=len(selected), shown=len(cells), what="conditions")
        _finish(figure, panels, policies, f"{score_label(summary)} of an episode (◇ mean)")
    return figure


def profile_plot(results: Results) -> Figure:
    """A figure of performance profiles: the share of episodes above every score, with pointwise 95 % bands.

    It shows the conditions of `distribution_plot`. Colour encodes the condition, line style the policy. A band is the
    `mean_interval` of the share; it has no width if all episodes or none exceed a score. Source: Agarwal et al. 2021,
    arXiv:2108.13264. Raises ValueError as `summarize` does.
    """
    study = study_of(results).comparable
    summary, selected = study.summary, _selected(study.summary)
    cells = _few(selected, PROFILES)
    values, runs = _values(study.episodes, cells), _values(study.episodes, cells, "train_seed")
    names = list(dict.fromkeys(condition_name(cell) for _, cell in cells.iterrows()))
    policies = cells["policy"].unique().tolist()
    every = np.concatenate([values[str(cell)] for cell in cells.index])
    margin = 0.03 * (every.max() - every.min()) or 1.0
    ends = every.min() - margin, every.max() + margin
    with style.context(STYLE):
        longest = max(len(label(name)) for name in names)
        longest += max(len(label(policy)) for policy in policies) if len(policies) > 1 else 0
        figure = Figure(figsize=(6.0 + 0.075 * longest, 3.8), layout="constrained")
        axes = figure.subplots()
        for cell, row in cells.iterrows():
            name = condition_name(row)
            x, policy = values[str(cell)], row["policy"]
            scores = _steps(x, *ends)
            colour = "black" if name == "clean" else f"C{(names.index(name) - 1) % 7}"
            title = f"{label(policy)}: {label(name)}" if len(policies) > 1 else label(name)
            stroke = STROKES[policies.index(policy) % len(STROKES)]
            share, low, high = _shares(x, runs[str(cell)], scores)
            axes.step(scores, share, color=colour, linestyle=stroke, label=title, where="post")
            axes.fill_between(scores, low, high, color=colour, alpha=0.13, linewidth=0, step="post")
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(f"{score_label(summary)} τ")
        axes.set_ylabel("share of episodes above τ")
        figure.legend(loc="outside right upper")
        say(figure, of=len(selected), shown=len(cells), what="conditions")
    return figure


def _rung(summary: pd.DataFrame) -> pd.DataFrame:
    """The attacks of the budget with the most attacks, the largest of several such budgets; no rows without one."""
    alone = summary[(summary["block"] == "attack") & summary["mean"].notna() & (summary["eps"] > 0)]
    alone = alone[~in_sensors(summary)[alone.index]]
    sizes = alone.groupby(BUDGET)["attack"].nunique()
    if sizes.empty or sizes.max() < 2:
        return alone.iloc[:0]
    unit, norm, eps = max(sizes[sizes == sizes.max()].index, key=lambda budget: budget[2])
    return alone[(alone[BUDGET] == [unit, norm, eps]).all(axis=1)]


def _selected(summary: pd.DataFrame) -> pd.DataFrame:
    """Clean, every attack at its largest budget and the worst of the other blocks, in the order of the summary."""
    measured = summary[summary["mean"].notna() & ~in_sensors(summary)]
    chosen = measured[measured["block"] == "clean"].index.tolist()
    attacks = measured[measured["block"] == "attack"].groupby(["policy", "attack", "unit", "norm"])
    chosen += attacks["eps"].idxmax().tolist()
    for block in BLOCKS[2:]:
        if (measured["block"] == block).any():
            chosen += contenders(measured[measured["block"] == block]).groupby("policy")["aligned"].idxmin().tolist()
    return measured.loc[sorted(chosen)]


def _few(cells: pd.DataFrame, most: int) -> pd.DataFrame:
    """The first conditions of the first policies, as many as can be drawn; clean comes first."""
    own = cells[cells["policy"].isin(cells["policy"].unique()[:POLICIES])]
    return own.groupby("policy", sort=False).head(max(2, most // own["policy"].nunique()))


def _values(episodes: pd.DataFrame, cells: pd.DataFrame, column: str = "value") -> dict[str, np.ndarray]:
    own = episodes[episodes["cell"].isin(cells.index) & episodes["value"].notna()]
    return {str(cell): rows.to_numpy() for cell, rows in own.groupby("cell")[column]}


def _panels(policies: list[str], lines: int, longest: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(
        figsize=(5.4 + 0.08 * min(longest, LONGEST), 1.0 + (0.5 + 0.36 * lines) * len(policies)), layout="constrained"
    )
    return figure, list(figure.subplots(len(policies), 1, squeeze=False, sharex=True)[:, 0])


def _finish(figure: Figure, panels: list[Axes], policies: list[str], title: str) -> None:
    for axes, policy in zip(panels, policies, strict=True):
        axes.grid(visible=False, axis="y")
        axes.set_title(label(policy) if len(policies) > 1 else "", fontsize="medium", loc="left")
        axes.set_ylim(-0.6, len(axes.get_yticks()) - 0.4)
    figure.supxlabel(title, fontsize="medium")  # may be longer than the axes
    lines = {str(line.get_label()): line for line in panels[0].get_lines() if not str(line.get_label()).startswith("_")}
    if lines:
        figure.legend(list(lines.values()), list(lines), loc="outside upper right", ncols=2)


def _draw_clean(axes: Axes, clean: pd.DataFrame) -> None:
    for _, row in clean.iterrows():
        axes.axvspan(row["low"], row["high"], color="black", alpha=0.08, linewidth=0)
        axes.axvline(row["mean"], color="black", linestyle="--", linewidth=1, label="clean")


def _draw_box(axes: Axes, y: int, x: Floats, mean: float) -> None:
    if len(x) <= DOTS:
        spread = (np.arange(len(x)) * 0.618034 % 1 - 0.5) * 0.5  # even, and the same in every run
        axes.plot(x, y + spread, marker="o", markersize=3, alpha=0.35, color="C0", linestyle="none")
    axes.boxplot([x], positions=[y], orientation="horizontal", widths=0.6, showfliers=False, manage_ticks=False,
                 medianprops={"color": "C1"})  # fmt: skip
    axes.plot([mean], [y], marker="D", color="white", markeredgecolor="black", linestyle="none")


def _steps(x: Floats, low: float, high: float) -> Floats:
    """The scores at which a profile steps down, between the ends of the axis."""
    scores = np.unique(x)
    if len(scores) > THRESHOLDS:
        scores = np.unique(np.quantile(x, np.linspace(0, 1, THRESHOLDS), method="inverted_cdf"))
    return np.array([low, *scores, high])


def _shares(x: Floats, runs: np.ndarray, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """The share of episodes above every score with its interval, (T,) each; every run has the same weight."""
    ends = [mean_interval((x > score).astype(np.float64), groups=runs.tolist()) for score in scores]
    share, low, high = (np.array([getattr(one, name) for one in ends]) for name in ("estimate", "low", "high"))
    return share, np.clip(low, 0, 1), np.clip(high, 0, 1)
