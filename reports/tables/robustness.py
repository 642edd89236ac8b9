"""The robustness table: one row per condition, one group of columns per policy, clean first."""

from collections.abc import Collection

import pandas as pd

from reports.findings.ranking import CAPTION, leaders
from reports.findings.sensors import elsewhere
from reports.study.names import condition_name, number, perturbation_name
from reports.study.scores import LEVEL
from reports.study.summary import BLOCKS, CONDITION, Results, study_of
from reports.study.texts import DASH, interval
from reports.study.worst import WORST, by, contenders, most

AGAIN = "worst: the strongest attack on a first set of episodes, measured on fresh ones."


def robustness_table(results: Results) -> pd.DataFrame:
    """A row per condition, and three columns per policy: `mean ± half-width [low, high]`, Δ vs. clean, and n.

    Δ vs. clean is in points [interval] and percent. The clean row comes first, then attacks, perturbations and both
    together as blocks of rows. A block ends with each policy's worst condition if there are several candidates
    (`worst.candidates`). † marks cells with flags or missing returns (see `notes`). Points of grids and samples have no
    rows (see `family_table`) but are candidates for the worst. Single sensors have their own table (`sensor_table`).
    Raises ValueError as `summarize` does.
    """
    study = study_of(results)
    summary, best = study.summary, leaders(study)
    apart = elsewhere(summary)
    rows = []
    for block in BLOCKS:
        conditions = summary[summary["block"] == block]
        for _, cells in conditions[~apart[conditions.index]].groupby(CONDITION, sort=False):
            rows.append(_heading(cells.iloc[0]) | _columns(cells, summary, best))
        if block != "clean" and most(conditions) > 1:
            rows.append(_worst(conditions, summary))
    table = pd.DataFrame(rows).fillna(DASH)
    return table.drop(columns=_unused(summary))


def caption(results: Results) -> str:
    """The caption of the robustness table: measure, policies, tasks, method of the intervals, and units of eps."""
    study = study_of(results)
    episodes, summary = study.episodes, study.summary
    metrics = [name for name in ("score", "return") if (summary["metric"] == name).any()]
    what = " or ".join({"score": "Normalized score (100 = expert)", "return": "raw return"}[name] for name in metrics)
    attacked = summary[summary["attack"] != "none"].drop_duplicates(["unit", "norm"])
    budgets = " and ".join(f"{unit}, {norm} norm" for unit, norm in attacked[["unit", "norm"]].itertuples(index=False))
    first = episodes.drop_duplicates("policy")
    policies = "; ".join(f"{policy} on {task}" for policy, task in zip(first["policy"], first["task"], strict=True))
    return (
        f"{what[0].upper()}{what[1:]} of {policies}: mean ± half-width [{100 * LEVEL:g} % interval, "
        f"{_method(summary)}]; Δ vs. clean over paired episodes. "
        f"Eps unit: {budgets or 'none (no observation attack)'}."
        + (f" {AGAIN}" if (summary["attack"] == WORST).any() else "")
        + (f" {CAPTION}" if len(first) > 1 else "")
    )


def _method(summary: pd.DataFrame) -> str:
    several = summary.groupby("policy")["seeds"].max() > 1
    over = "t over episodes, skewness-corrected"
    if several.any():
        over = "t over training runs" if several.all() else f"t over training runs; where there is one, {over}"
    return over


def _heading(condition: pd.Series) -> dict[str, str]:
    attacked = condition["attack"] != "none"
    return {
        "attack": condition["attack"],
        "eps": number(condition["eps"]),
        "unit": condition["unit"] if attacked else DASH,
        "norm": condition["norm"] if attacked else DASH,
        "perturbation": perturbation_name(condition),
        "factor": number(condition["factor"]),
    }


def _unused(summary: pd.DataFrame) -> list[str]:
    """Columns that are equal in every row. The caption names unit and norm unless there are several."""
    attacked = summary[summary["attack"] != "none"]
    unused = [] if len(attacked[["unit", "norm"]].drop_duplicates()) > 1 else ["unit", "norm"]
    if (summary["perturbation"] == "none").all():
        unused += ["perturbation", "factor"]
        return unused
    return unused if len(attacked) else [*unused, "attack", "eps"]


def _columns(
    cells: pd.DataFrame, summary: pd.DataFrame, best: Collection[int] = (), *, named: bool = False
) -> dict[str, str]:
    """The cells of one row, bold for the best policies; `cells` holds at most one condition per policy."""
    row = {}
    for policy, metric in summary[["policy", "metric"]].drop_duplicates().itertuples(index=False):
        own = cells[cells["policy"] == policy]
        name = (f" at {condition_name(own.iloc[0])}" if named else "") + by(own.iloc[0]) if len(own) else ""
        row[f"{policy} {metric}"] = _level(own.iloc[0], bold=own.index[0] in best) + name if len(own) else DASH
        row[f"{policy} Δ vs. clean"] = _change(own.iloc[0]) if len(own) else DASH
        row[f"{policy} n"] = count(own.iloc[0]) if len(own) else DASH
    return row


def _worst(conditions: pd.DataFrame, summary: pd.DataFrame) -> dict[str, str]:
    present = contenders(conditions[conditions["mean"].notna()])
    worst = present.loc[present.groupby("policy")["aligned"].idxmin()]
    title = f"worst of {most(conditions)}"
    heading = dict.fromkeys(("attack", "eps", "unit", "norm", "perturbation", "factor"), DASH)
    column = "perturbation" if conditions["block"].iloc[0] == "perturbation" else "attack"
    return heading | {column: title} | _columns(worst, summary, named=True)


def _level(cell: pd.Series, *, bold: bool) -> str:
    dagger = " †" if cell["flags"] or cell["left_out"] else ""
    if pd.isna(cell["mean"]):
        return f"no return{dagger}"
    half, ends = (cell["high"] - cell["low"]) / 2, interval(cell["low"], cell["high"])
    text = f"{cell['mean']:z.1f}" + (f" ± {half:z.1f} {ends}" if ends else " (no interval)")
    return (f"**{text}**" if bold else text) + dagger


def _change(cell: pd.Series) -> str:
    if pd.isna(cell["change"]):
        return DASH
    percent = "" if pd.isna(cell["change_percent"]) else f", {cell['change_percent']:z.1f} %"
    return f"{cell['change']:z.1f} {interval(cell['change_low'], cell['change_high'])}".rstrip() + percent


def count(cell: pd.Series) -> str:
    """The number of episodes: `10`, `50 (5 seeds)`, or `20 (2 of 5 seeds)` if clean has more training runs."""
    if cell["common_seeds"] < cell["clean_seeds"]:
        return f"{cell['n']} ({cell['common_seeds']} of {cell['clean_seeds']} seeds)"
    return str(cell["n"]) if cell["seeds"] == 1 else f"{cell['n']} ({cell['seeds']} seeds)"
