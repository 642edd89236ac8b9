"""Comparison of attacks on single sensors: the drop of the score for each of them.

A sensor is the text after the @ of an attack: `thigh_joint`, a group (`velocities`), or several joined by +.
"""

import pandas as pd

from reports.study.attacked import names_of, readings, sensors_of
from reports.study.grids import in_families
from reports.study.provenance import runs_of
from reports.study.summary import Results, study_of

THREAT = ["policy", "metric", "name", "eps", "unit", "norm"]
"""Columns that compared sensors share: policy, metric, attack and budget."""

FEWEST = 2
"""Minimum number of attacks on sensors of one threat for a comparison; a single one stays a row of the table."""


GROUPS = ("positions", "velocities")
"""Names of sensors with several readings, for results without JSON."""


def in_sensors(summary: pd.DataFrame) -> pd.Series:
    """Whether each condition of `summarize` is an attack on sensors with others of the same threat."""
    alone = summary["block"] == "attack"
    threats = [summary["policy"], names_of(summary["attack"]), *(summary[name] for name in ("eps", "unit", "norm"))]
    marked = alone & (sensors_of(summary["attack"]) != "")
    return marked & (marked.groupby(threats).transform("sum") >= FEWEST)


def elsewhere(summary: pd.DataFrame) -> pd.Series:
    """Whether each condition is in a separate table, and so has no row: grids, samples, and single sensors."""
    return in_families(summary) | in_sensors(summary)


def sensor_numbers(results: Results) -> pd.DataFrame:
    """The drops below clean under attacks on sensors: one row per policy, threat and sensor.

    Columns: policy, metric, attack (without its sensors), eps, unit, norm, sensor, is_group, mean, drop with low and
    high (paired with clean; positive is a loss), percent, whole (drop of the same attack on all sensors, NaN if not
    evaluated) with low and high, n, flags. The largest drop of a threat is first. No rows if none are compared.
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
    """The conditions with the negative change from clean in columns `name…`: a loss is a positive drop."""
    ends = {name: "change", f"{name}_low": "change_high", f"{name}_high": "change_low"}
    return conditions.assign(**{new: -conditions[old] for new, old in ends.items()})
