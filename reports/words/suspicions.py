"""Signs in a table that a number is too good: notes that name what is suspicious, as the flags of an evaluation do.

They follow from the episodes alone, so they hold for results made elsewhere, too. What an evaluation sees beside each
episode are flags; a note and a flag that say the same have one name (docs/flags.md).
"""

import itertools

import pandas as pd

from reports.statistics.means import Interval
from reports.study.attacked import NOISE, names_of, parted, sensors_of
from reports.study.conditions import changes_nothing, is_composition
from reports.study.names import condition_name, listed, number
from reports.study.pairing import paired_cells
from reports.study.worst import WORST

BUDGET = ["eps", "unit", "norm", "perturbation", "factor"]


def yardstick(conditions: pd.DataFrame, episodes: pd.DataFrame) -> list[str]:
    """An attack that searches must hurt more than noise of the same size on the same sensors, or its search failed."""
    attacked = conditions[(conditions["attack"] != "none") & (conditions["eps"] > 0)]
    names, sensors = names_of(attacked["attack"]), sensors_of(attacked["attack"])
    budgets = attacked[BUDGET].itertuples(index=False, name=None)
    keys = dict(zip(attacked.index.tolist(), zip(sensors, budgets, strict=True), strict=True))
    noise = {keys[cell]: cell for cell in attacked.index[names == NOISE].tolist()}
    search = attacked[~names.str.startswith(NOISE) & (names != WORST)]  # worst is one of the others on other episodes
    pairs = [(cell, noise.get(keys[cell])) for cell in search.index.tolist()]
    sentences, unclear, alone = [], [], []
    for (_, condition), interval in zip(search.iterrows(), paired_cells(episodes, pairs), strict=True):
        if interval.n == 0:
            on_some = parted(condition["attack"])[1] != ""  # of many sensors nobody measures noise on each
            alone += [] if on_some else [condition_name(condition)]
        elif interval.low > 0:
            sentences.append(
                f"{condition_name(condition)} hurts less than random noise of the same size, by "
                f"{difference(interval)}: its search fails on this policy, so the row is no evidence of robustness "
                "(blackbox-beats-whitebox)."
            )
        elif not interval.high < 0:
            unclear.append(condition_name(condition))
    if unclear:
        sentences.append(
            f"{listed(unclear)} cannot be told from random noise of the same size: the difference lies within its "
            "interval."
        )
    if alone:
        sentences.append(f"{listed(alone)} was not compared with random noise: no common episodes at the same budget.")
    return sentences


def rises(conditions: pd.DataFrame, episodes: pd.DataFrame) -> list[str]:
    """A larger budget contains the smaller one, so a better search would never do worse with it."""
    lines = conditions[conditions["attack"] != "none"].groupby(["attack", *BUDGET[1:]], sort=False)
    pairs = [(large, small) for _, line in lines for small, large in itertools.pairwise(line.index)]
    return [
        f"{condition_name(conditions.loc[large])} hurts less than eps {number(conditions.loc[small, 'eps'])}, "
        f"by {difference(interval)}: a larger budget allows all that a smaller one does, so do not read this as "
        "robustness (return-rises)."
        for (large, small), interval in zip(pairs, paired_cells(episodes, pairs), strict=True)
        if interval.low > 0
    ]


def not_clean(conditions: pd.DataFrame) -> list[str]:
    """Eps 0 and the nominal factor change nothing, so they must give the clean returns to the last bit."""
    same = conditions[(conditions["block"] != "clean") & changes_nothing(conditions)]
    moved = (same["change"].abs() > 0) | (same["change_low"] < 0) | (same["change_high"] > 0)
    return [
        f"{condition_name(row)} differs from clean although it changes nothing: do not trust this evaluation "
        f"({'nominal-mismatch' if row['attack'] == 'none' else 'eps0-mismatch'})."
        for _, row in same[moved].iterrows()
    ]


def repeats(same: pd.DataFrame) -> list[str]:
    """Of conditions that repeat the clean episodes those that should not, unless all episodes are flagged for it."""
    alone = same[(same["block"] == "perturbation") & ~is_composition(same["perturbation"])]
    return [
        f"{condition_name(row)} gave the clean episodes to the last bit: it changed nothing that these episodes met, "
        "so the row is no evidence of robustness."
        for _, row in alone[alone["factor"] != alone["nominal"]].iterrows()
        if f"no-op-cell ({row['n']})" not in row["flags"].split(", ")
    ]


def difference(interval: Interval) -> str:
    """For example `4.2 points [1.1, 7.3]`."""
    return f"{interval.estimate:z.1f} points [{interval.low:z.1f}, {interval.high:z.1f}]"
