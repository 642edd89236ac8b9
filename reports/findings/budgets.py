"""Summaries of a curve over eps: its mean height, and the budget that halves the score."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.statistics.bootstrap import expanded, resampled_means
from reports.statistics.means import Floats, mean_interval, run_weights
from reports.statistics.of_arrays import curve_area
from reports.study.summary import Results, study_of


def halving_budgets(eps: Floats, means: Floats) -> Floats:
    """The first eps (R,) at which curves (R, K) have fallen to half of their start; infinite if they never do.

    Values are interpolated linearly. The result is NaN if the start is not positive.
    """
    half = means[:, :1] / 2
    below = means <= half
    after = np.maximum(np.argmax(below, axis=1), 1)  # (R,) the first point at or below
    rows = np.arange(len(means))
    upper, lower = means[rows, after - 1], means[rows, after]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (upper - half[:, 0]) / (upper - lower)
    crossed = eps[after - 1] + share * (eps[after] - eps[after - 1])
    return np.where(half[:, 0] > 0, np.where(below.any(axis=1), crossed, np.inf), np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """One attack over its budgets: eps (K + 1,) from 0 (clean), values (N, K + 1) of N episodes, and their runs."""

    eps: Floats
    values: Floats
    runs: list[object]


def curve_of(results: Results, attack: str) -> Curve | None:
    """The curve of this attack for one policy and unit; None if no episode has a value at every budget.

    Raises ValueError as `summarize` does.
    """
    for head, curve, runs in _curves(study_of(results).episodes, fewest=1):
        if head["attack"] == attack:
            return Curve(eps=curve.columns.to_numpy(np.float64), values=curve.to_numpy(np.float64), runs=runs)
    return None


def budget_numbers(results: Results) -> pd.DataFrame:
    """The area and eps50 of curves with intervals: one row per policy and attack with clean and two budgets or more.

    Columns: policy, metric, attack, unit, norm, largest (eps), n (episodes with a value at every budget), area and
    eps50 with low and high. An infinite eps50 is beyond the largest budget; NaN means that it is undefined.
    Raises ValueError as `summarize` does.
    """
    return pd.DataFrame([_numbers(head, curve, groups) for head, curve, groups in _curves(study_of(results).episodes)])


def _curves(episodes: pd.DataFrame, fewest: int = 2) -> Iterator[tuple[pd.Series, pd.DataFrame, list[object]]]:
    """Curves of at least `fewest` budgets: a row that names each, values (episodes × eps, clean at 0), and runs."""
    alone = episodes[(episodes["block"] == "attack") & (episodes["eps"] > 0) & episodes["clean"].notna()]
    for _, rows in alone.groupby(["policy", "attack", "unit", "norm"], sort=False, observed=True):
        start = pd.factorize(rows["start"])[0]
        eps = np.sort(rows["eps"].unique())
        values = np.full((start.max() + 1, len(eps) + 1), np.nan)
        values[start, 1 + np.searchsorted(eps, rows["eps"])] = rows["value"]
        values[start, 0] = rows["clean"]
        whole = np.isfinite(values).all(axis=1)
        runs = rows["train_seed"].to_numpy(object)[np.unique(start, return_index=True)[1]]
        if whole.any() and len(eps) >= fewest:
            yield rows.iloc[0], pd.DataFrame(values[whole], columns=[0.0, *eps]), runs[whole].tolist()


def _numbers(head: pd.Series, curve: pd.DataFrame, groups: list[object]) -> dict[str, object]:
    eps, values = curve.columns.to_numpy(np.float64), curve.to_numpy(np.float64)
    area = mean_interval(curve_area(eps, values), groups=groups)
    eps50 = float(halving_budgets(eps, (run_weights(groups) @ values)[None])[0])
    low, high = np.nan, np.nan
    runs = len(set(groups))
    units = runs if runs > 1 else len(groups)
    if units > 1 and not np.isnan(eps50):
        draws = halving_budgets(eps, resampled_means(values, groups))
        low, high = expanded(draws[~np.isnan(draws)], units)
    return dict(head[["policy", "metric", "attack", "unit", "norm"]]) | {
        "largest": eps[-1],
        "n": len(values),
        **{"area": area.estimate, "area_low": area.low, "area_high": area.high},
        **{"eps50": eps50, "eps50_low": low, "eps50_high": high},
    }
