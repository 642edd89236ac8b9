"""The table of attacks on single sensors, as text cells."""

import pandas as pd

from reports.findings.sensors import sensor_numbers
from reports.study.names import number
from reports.study.summary import Results
from reports.study.texts import DASH, interval

MOST_ROWS = 40
"""Maximum number of sensors per threat, those with the largest drops; table.csv has all."""


CAPTION = (
    "Sensors: drop of the score below clean if the attack may change only these sensors, over paired episodes [95 % "
    "interval as above], largest first. Each sensor has the same budget as in the attack on all sensors."
)


def sensor_table(results: Results) -> pd.DataFrame:
    """`sensor_numbers` as text cells; no rows if no sensors are compared."""
    numbers = sensor_numbers(results)
    threats = ["policy", "attack", "eps", "unit", "norm"]
    shown = numbers.groupby(threats, sort=False).head(MOST_ROWS)
    return pd.DataFrame([_text(row) for _, row in shown.iterrows()])


def _text(row: pd.Series) -> dict[str, str]:
    drop = f"{row['drop']:z.1f} {interval(row['drop_low'], row['drop_high'])}".rstrip()
    percent = "" if pd.isna(row["percent"]) else f", {row['percent']:z.1f} %"
    return {
        "policy": row["policy"],
        "attack": row["attack"],
        "eps": f"{number(row['eps'])} {row['unit']} {row['norm']}",
        "sensors": row["sensor"],
        row["metric"]: (DASH if pd.isna(row["mean"]) else f"{row['mean']:z.1f}") + (" †" if row["flags"] else ""),
        "drop": DASH if pd.isna(row["drop"]) else drop + percent,
        "n": str(row["n"]),
    }
