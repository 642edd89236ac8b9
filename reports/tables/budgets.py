"""The table of curves over eps: area under each curve and eps50, as text cells."""

import numpy as np
import pandas as pd

from reports.findings.budgets import budget_numbers
from reports.findings.sensors import in_sensors
from reports.study.names import number, short
from reports.study.summary import Results, study_of
from reports.study.texts import DASH

CAPTION = (
    "Curves over eps: area is the mean score from eps 0 (clean) to the largest budget, by trapezoids [95 % interval as "
    "above]. eps50 is the budget at which the mean first falls to half of clean, linearly interpolated between the "
    "measured budgets [95 % expanded percentile bootstrap over runs and their episodes]."
)


def budget_table(results: Results) -> pd.DataFrame:
    """`budget_numbers` as text cells; no rows without a curve. Attacks on single sensors are left out if compared."""
    study = study_of(results)
    summary = study.summary
    apart = set(summary.loc[in_sensors(summary), ["policy", "attack"]].itertuples(index=False, name=None))
    rows = [row for _, row in budget_numbers(study).iterrows() if (row["policy"], row["attack"]) not in apart]
    return pd.DataFrame([_text(row) for row in rows])


def _text(row: pd.Series) -> dict[str, str]:
    def budget(value: float) -> str:
        return f"beyond {number(row['largest'])}" if np.isinf(value) else short(value)

    area, eps50 = ([row[f"{name}{end}"] for end in ("", "_low", "_high")] for name in ("area", "eps50"))
    return {
        "policy": row["policy"],
        "attack": row["attack"],
        "eps": f"0 to {number(row['largest'])} {row['unit']} {row['norm']}",
        f"area ({row['metric']})": _with_interval([f"{value:z.1f}" for value in area]),
        "eps50": _with_interval([budget(value) for value in eps50]),
        "n": str(row["n"]),
    }


def _with_interval(texts: list[str]) -> str:
    estimate, low, high = texts
    if estimate == "nan":
        return DASH
    if estimate.startswith("beyond") and estimate == low:
        return estimate
    return estimate + (" (no interval)" if "nan" in (low, high) else f" [{low}, {high}]")
