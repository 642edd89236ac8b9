"""Notes on training runs: those that not every condition has, and those with more episodes than others."""

import pandas as pd

from reports.study.names import condition_name, listed


def fewer_runs(conditions: pd.DataFrame) -> list[str]:
    """The conditions that lack training runs of the clean one, so that their means are of other runs."""
    lacking = conditions[conditions["common_seeds"] < conditions["clean_seeds"]]
    sentences = []
    for (common, clean), rows in lacking.groupby(["common_seeds", "clean_seeds"], sort=True):
        names = listed([condition_name(row) for _, row in rows.iterrows()])
        verb, whose = ("has", "its mean is") if len(rows) == 1 else ("have", "their means are")
        sentences.append(
            f"{names} {verb} {common} of the {clean} training runs that clean has: {whose} of other runs than the "
            "clean mean; changes to clean and the choice of a worst case compare the runs that both have, and a "
            "gate on the level fails."
        )
    return sentences


def uneven_runs(conditions: pd.DataFrame, sizes: pd.DataFrame) -> list[str]:
    """The conditions whose training runs have different numbers of episodes (`sizes`, of `unequal_runs`)."""
    own = sizes.loc[sizes.index.intersection(conditions.index)]
    uneven = own[own["fewest"] < own["most"]]
    if uneven.empty:
        return []
    names = listed([condition_name(conditions.loc[cell]) for cell in uneven.index])
    return [
        f"training runs have {uneven['fewest'].min()} to {uneven['most'].max()} episodes in {names}: every run counts "
        "once, however many episodes it has."
    ]
