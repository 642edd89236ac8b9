"""The table of attack gaps, as text cells."""

import pandas as pd

from reports.findings.gap import gap_numbers
from reports.study.names import number
from reports.study.summary import Results
from reports.study.texts import DASH, interval

CAPTION = (
    "Attack gap: score under the attack minus score under the oracle, over paired episodes [95 % interval as above]; 0 "
    "means as strong as the oracle. Share: loss under the attack in percent of the loss under the oracle."
)


def gap_table(results: Results) -> pd.DataFrame:
    """`gap_numbers` as text cells; no rows without an oracle."""
    numbers = gap_numbers(results)
    table = pd.DataFrame([_text(row) for _, row in numbers.iterrows()])
    dull = [name for name in ("policy", "physics", "oracle") if len(table) and table[name].nunique() == 1]
    return table.drop(columns=dull)


def _text(row: pd.Series) -> dict[str, str]:
    perturbed = row["perturbation"] != "none"
    ends = interval(row["gap_low"], row["gap_high"]) or "(no interval)"
    return {
        "policy": row["policy"],
        "attack": row["attack"],
        "eps": f"{number(row['eps'])} {row['unit']} {row['norm']}",
        "physics": f"{row['perturbation']} {number(row['factor'])}" if perturbed else "nominal",
        "oracle": row["oracle"],
        f"gap ({row['metric']})": f"{row['gap']:z.1f} {ends}",
        "share": DASH if pd.isna(row["share"]) else f"{row['share']:z.0f} %",
        "vs. oracle": row["reading"],
        "n": str(row["n"]),
    }
