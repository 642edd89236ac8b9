"""A comparison as text: its table, and sentences about its outcome and its limits."""

import pandas as pd

from reports.findings.comparison import Comparison
from reports.study.names import listed
from reports.study.texts import interval
from reports.tables.formats import plain, to_markdown


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as Markdown: the table, then its sentences as a list."""
    rows = [_cells(row) for _, row in comparison.table.iterrows()]
    metric = " or ".join(dict.fromkeys(comparison.table["metric"]))
    title = f"B vs. A: mean {metric} over paired episodes; p is two-sided and Holm-corrected for all conditions."
    return f"{to_markdown(pd.DataFrame(rows), title)}\n" + "".join(
        f"- {plain(sentence)}\n" for sentence in sentences(comparison)
    )


def sentences(comparison: Comparison) -> list[str]:
    """Sentences about a comparison: the outcome, then conditions without a partner, then differences in settings."""
    texts = [_outcome(comparison)]
    for title, names in (
        ("Only in A", comparison.only_a),
        ("Only in B", comparison.only_b),
        ("Without a common episode", comparison.unpaired),
    ):
        if names:
            texts.append(f"{title}: {listed(names, 20)}.")
    texts += _common_runs(comparison.table)
    if comparison.is_blind:
        texts.append(
            f"With {comparison.table['n'].max()} pairs no loss can be significant among {len(comparison.table)} "
            "conditions: evaluate more episodes, or fewer conditions."
        )
    lost = int(comparison.table["left_out"].sum())
    if lost:
        texts.append(f"{lost} pairs are left out, because one side has no finite return; see the flags.")
    return [*texts, *comparison.changes]


def _common_runs(table: pd.DataFrame) -> list[str]:
    """Sentences about conditions that are compared over some of the training runs only."""
    fewer = table[(table["runs"] < table[["runs_a", "runs_b"]].max(axis=1)) & (table["n"] > 0)]
    return [
        f"Compared over common training runs only, {runs} of {runs_a} in A and {runs_b} in B: "
        f"{listed([str(name) for name in rows['condition']])}."
        for (runs, runs_a, runs_b), rows in fewer.groupby(["runs", "runs_a", "runs_b"])
    ]


def _outcome(comparison: Comparison) -> str:
    table, losses = comparison.table, comparison.losses
    if losses:
        return f"B is significantly worse in {len(losses)} of {len(table)} conditions: {listed(losses, 20)}."
    if (table["outcome"] == "equal").all():
        return f"All {table['n'].sum()} pairs of episodes are equal to the last bit."
    lowest = table["low"].min()
    bound = "" if pd.isna(lowest) else f" The 95 % intervals include losses of up to {max(-lowest, 0):.1f}."
    return f"No significant loss in {len(table)} conditions, which is not evidence that there is none.{bound}"


def _cells(row: pd.Series) -> dict[str, str]:
    return {
        "condition": str(row["condition"]),
        "A": f"{row['a']:z.1f}",
        "B": f"{row['b']:z.1f}",
        "B - A": f"{row['difference']:z.1f} {interval(row['low'], row['high'])}".rstrip(),
        "p": f"{row['p_holm']:.2g}",
        "pairs": f"{row['n']}" + (f" ({row['equal']} equal)" if row["equal"] else ""),
        "outcome": str(row["outcome"]),
    }
