"""Attacks on single sensors, side by side: which reading a policy can least afford to get wrong.

A sensor is what stands behind the @ of an attack's text: `thigh_joint`, a group (`velocities`), or several with a +.
"""

import pandas as pd

from reports.study.attacked import names_of, readings, sensors_of
from reports.study.grids import in_families
from reports.study.provenance import runs_of
from reports.study.summary import Results, study_of

THREAT = ["policy", "metric", "name", "eps", "unit", "norm"]
"""What sensors are compared under: a policy, an attack, and a budget."""

FEWEST = 2
"""Attacks on sensors are compared where there are so many of one threat; a single one stays a row like any other."""


GROUPS = ("positions", "velocities")
"""Sensors that are several readings, where no JSON beside the results says of how many."""


def in_sensors(summary: pd.DataFrame) -> pd.Series:
    """Which conditions of `summarize` are attacks on some sensors, beside others of the same threat."""
    alone = summary["block"] == "attack"
    threats = [summary["policy"], names_of(summary["attack"]), *(summary[name] for name in ("eps", "unit", "norm"))]
    marked = alone & (sensors_of(summary["attack"]) != "")
    return marked & (marked.groupby(threats).transform("sum") >= FEWEST)


def elsewhere(summary: pd.DataFrame) -> pd.Series:
    """Which conditions have a table and a figure of their own, and so no row: grids, samples, and single sensors."""
    return in_families(summary) | in_sensors(summary)


def sensor_numbers(results: Results) -> pd.DataFrame:
    """One row per policy, threat and sensor: the drop below clean with interval, and that of the whole observation.

    Columns: policy, metric, attack (without its sensors), eps, unit, norm, sensor, is_group, mean, drop with low and
    high (paired to clean; positive is a loss), percent, whole (drop of the same attack on all sensors, NaN where it was
    not evaluated) with low and high, n, flags. Largest drop first within a threat; no rows where none are compared.
    Raises ValueError as `summarize` does.
    """
    study = study_of(results)
    summary, known = study.summary, readings(runs_of(study.about))
    named = summary.assign(name=names_of(summary["attack"]), sensor=sensors_of(summary["attack"]))
    own = _dropped(named[in_sensors(summary)], "drop")
    whole = _dropped(named[(named["block"] == "attack") & (named["sensor"] == "")], "whole")
    own = own.merge(whole[[*THREAT, "whole", "whole_low", "whole_high"]], on=THREAT, how="left")
    guessed = own["sensor"].isin(GROUPS) | own["sensor"].str.contains("+", regex=False)
    own["is_group"] = [
        known[text] > 1 if text in known else bool(guess) for text, guess in zip(own["attack"], guessed, strict=True)
    ]
    own["percent"] = -own["change_percent"]
    order = own.groupby(THREAT, sort=False).ngroup()
    own = own.assign(order=order, rank=own["drop"].fillna(-float("inf"))).sort_values(
        ["order", "rank", "sensor"], ascending=[True, False, True], kind="stable"
    )
    drops = [f"{name}{end}" for name in ("drop", "whole") for end in ("", "_low", "_high")]
    chosen = ["sensor", "is_group", "mean", *drops[:3], "percent", *drops[3:], "n", "flags"]
    return own[[*THREAT, *chosen]].rename(columns={"name": "attack"}).reset_index(drop=True)


def _dropped(conditions: pd.DataFrame, name: str) -> pd.DataFrame:
    """With the change to clean turned round: a loss of the policy is a positive drop."""
    ends = {name: "change", f"{name}_low": "change_high", f"{name}_high": "change_low"}
    return conditions.assign(**{new: -conditions[old] for new, old in ends.items()})
