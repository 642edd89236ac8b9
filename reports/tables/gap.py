"""The attack gap as text cells."""

import pandas as pd

from reports.findings.gap import gap_numbers
from reports.study.names import number
from reports.study.summary import Results

CAPTION = (
    "Attack gap: what an attack leaves the policy beyond what the oracle leaves it, over common episodes [95 % "
    "interval as above]. 0 is as strong as the oracle; the share is the attack's part of what the oracle takes."
)


NO_NUMBER = "–"


def gap_table(results: Results) -> pd.DataFrame:
    """`gap_numbers` as text cells, without rows if there is no oracle."""
    numbers = gap_numbers(results)
    table = pd.DataFrame([_text(row) for _, row in numbers.iterrows()])
    dull = [name for name in ("policy", "world", "oracle") if len(table) and table[name].nunique() == 1]
    return table.drop(columns=dull)


def _text(row: pd.Series) -> dict[str, str]:
    perturbed = row["perturbation"] != "none"
    interval = "(no interval)" if pd.isna(row["gap_low"]) else f"[{row['gap_low']:z.1f}, {row['gap_high']:z.1f}]"
    return {
        "policy": row["policy"],
        "attack": row["attack"],
        "eps": f"{number(row['eps'])} {row['unit']} {row['norm']}",
        "world": f"{row['perturbation']} {number(row['factor'])}" if perturbed else "nominal",
        "oracle": row["oracle"],
        f"gap ({row['metric']})": f"{row['gap']:z.1f} {interval}",
        "share": NO_NUMBER if pd.isna(row["share"]) else f"{row['share']:z.0f} %",
        "than the oracle": row["reading"],
        "n": str(row["n"]),
    }
