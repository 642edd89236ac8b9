"""Notes on training runs: conditions that lack some of them, and runs with unequal numbers of episodes."""

import pandas as pd

from reports.study.names import condition_name, listed


def fewer_runs(conditions: pd.DataFrame) -> list[str]:
    """Notes on conditions that lack some of the training runs of the clean condition."""
    lacking = conditions[conditions["common_seeds"] < conditions["clean_seeds"]]
    sentences = []
    for (common, clean), rows in lacking.groupby(["common_seeds", "clean_seeds"], sort=True):
        names = listed([condition_name(row) for _, row in rows.iterrows()])
        verb, mean = ("has", "its mean covers") if len(rows) == 1 else ("have", "their means cover")
        sentences.append(
            f"{names} {verb} {common} of the {clean} training runs that clean has: {mean} other runs than the clean "
            "mean. Δ vs. clean and the worst case use common runs; a gate on the mean fails."
        )
    return sentences


def uneven_runs(conditions: pd.DataFrame, sizes: pd.DataFrame) -> list[str]:
    """A note on conditions whose training runs have different numbers of episodes (`sizes` is from `unequal_runs`)."""
    own = sizes.loc[sizes.index.intersection(conditions.index)]
    uneven = own[own["fewest"] < own["most"]]
    if uneven.empty:
        return []
    names = listed([condition_name(conditions.loc[cell]) for cell in uneven.index])
    return [
        f"training runs have {uneven['fewest'].min()} to {uneven['most'].max()} episodes in {names}: each run has the "
        "same weight."
    ]
