"""The excerpt of a very large study for tables, notes and figures; table.csv, JSON and gates use all of it."""

import numpy as np
import pandas as pd

from reports.study.conditions import is_composition

POLICIES = 24
"""Maximum number of policies, in the order of the table."""

CONDITIONS = 600
"""Maximum number of conditions without grids and samples; each block keeps its lowest means."""

KINDS = 12
"""Maximum number of sets of composed perturbations, those with the most points."""

POINTS = 2000
"""Maximum number of compositions."""


def excerpt(summary: pd.DataFrame) -> tuple[pd.Index, str]:
    """The cells of the excerpt, and a sentence about the others; the sentence is empty if there are none."""
    policies = summary["policy"].unique()
    shown = summary[summary["policy"].isin(policies[:POLICIES])]
    composed = is_composition(shown["perturbation"])
    points = shown[composed]
    kinds = points["perturbation"].str.replace(r"=[^,]*", "", regex=True)
    points = points[kinds.isin(kinds.value_counts().index[:KINDS])].head(POINTS)
    rest = shown[~composed]
    groups = rest[rest["block"] != "clean"].groupby(["policy", "block"], sort=False)
    quota = max(2, CONDITIONS // max(1, groups.ngroups))
    lowest = rest["aligned"].where(rest["block"] != "clean", -np.inf).sort_values(kind="stable", na_position="last")
    place = rest.loc[lowest.index].groupby(["policy", "block"], sort=False).cumcount()
    if len(rest) <= CONDITIONS:
        place = place * 0
    cells = place.index[place < quota].union(points.index)
    if len(cells) == len(summary):
        return cells, ""
    return cells, (
        f"{len(cells):,} of {len(summary):,} conditions of {min(len(policies), POLICIES)} of {len(policies):,} "
        "policies are shown in tables, notes and figures, those with the lowest means; table.csv has all of them."
    )
