"""Notes on results that look more robust than they are.

They are computed from the episodes alone, so they also apply to results of other tools. Flags are recorded during an
evaluation; a note and a flag with the same meaning share one name (docs/flags.md).
"""

import itertools

import pandas as pd

from reports.statistics.means import Interval
from reports.study.attacked import NOISE, names_of, parted, sensors_of
from reports.study.conditions import changes_nothing, is_composition
from reports.study.names import condition_name, listed, number
from reports.study.pairing import paired_cells
from reports.study.texts import interval
from reports.study.worst import WORST

BUDGET = ["eps", "unit", "norm", "perturbation", "factor"]


def yardstick(conditions: pd.DataFrame, episodes: pd.DataFrame) -> list[str]:
    """Compare every search with random noise of the same budget on the same sensors; a weaker search has failed."""
    attacked = conditions[(conditions["attack"] != "none") & (conditions["eps"] > 0)]
    names, sensors = names_of(attacked["attack"]), sensors_of(attacked["attack"])
    budgets = attacked[BUDGET].itertuples(index=False, name=None)
    keys = dict(zip(attacked.index.tolist(), zip(sensors, budgets, strict=True), strict=True))
    noise = {keys[cell]: cell for cell in attacked.index[names == NOISE].tolist()}
    search = attacked[~names.str.startswith(NOISE) & (names != WORST)]  # worst is one of the others on other episodes
    pairs = [(cell, noise.get(keys[cell])) for cell in search.index.tolist()]
    sentences, unclear, alone = [], [], []
    for (_, condition), paired in zip(search.iterrows(), paired_cells(episodes, pairs), strict=True):
        if paired.n == 0:
            on_some = parted(condition["attack"])[1] != ""  # of many sensors nobody measures noise on each
            alone += [] if on_some else [condition_name(condition)]
        elif paired.low > 0:
            sentences.append(
                f"{condition_name(condition)} is weaker than random noise of the same budget, by "
                f"{difference(paired)}: its search fails on this policy, so the row is not evidence of robustness "
                "(blackbox-beats-whitebox)."
            )
        elif not paired.high < 0:
            unclear.append(condition_name(condition))
    if unclear:
        verb = "does" if len(unclear) == 1 else "do"
        sentences.append(f"{listed(unclear)} {verb} not differ significantly from random noise of the same budget.")
    if alone:
        sentences.append(f"{listed(alone)} was not compared with random noise: no common episodes at the same budget.")
    return sentences


def rises(conditions: pd.DataFrame, episodes: pd.DataFrame) -> list[str]:
    """Warn of an attack that is significantly weaker with a larger budget, which contains the smaller one."""
    lines = conditions[conditions["attack"] != "none"].groupby(["attack", *BUDGET[1:]], sort=False)
    pairs = [(large, small) for _, line in lines for small, large in itertools.pairwise(line.index)]
    return [
        f"{condition_name(conditions.loc[large])} is weaker than eps {number(conditions.loc[small, 'eps'])}, "
        f"by {difference(paired)}: a larger budget contains the smaller one, so this is not evidence of robustness "
        "(return-rises)."
        for (large, small), paired in zip(pairs, paired_cells(episodes, pairs), strict=True)
        if paired.low > 0
    ]


def not_clean(conditions: pd.DataFrame) -> list[str]:
    """Warn of conditions at eps 0 or the nominal factor that do not reproduce the clean returns bit for bit."""
    same = conditions[(conditions["block"] != "clean") & changes_nothing(conditions)]
    moved = (same["change"].abs() > 0) | (same["change_low"] < 0) | (same["change_high"] > 0)
    return [
        f"{condition_name(row)} differs from clean although it changes nothing: do not trust this evaluation "
        f"({'nominal-mismatch' if row['attack'] == 'none' else 'eps0-mismatch'})."
        for _, row in same[moved].iterrows()
    ]


def repeats(same: pd.DataFrame) -> list[str]:
    """Warn of perturbations that reproduce the clean episodes bit for bit although their factor is not nominal.

    Conditions whose every episode is flagged `no-op-cell` get no second warning. `same` holds the conditions that
    reproduce the clean episodes.
    """
    alone = same[(same["block"] == "perturbation") & ~is_composition(same["perturbation"])]
    return [
        f"{condition_name(row)} reproduced the clean episodes bit for bit: the perturbation had no effect on them, "
        "so the row is not evidence of robustness."
        for _, row in alone[alone["factor"] != alone["nominal"]].iterrows()
        if f"no-op-cell ({row['n']})" not in row["flags"].split(", ")
    ]


def difference(paired: Interval) -> str:
    """A difference with its interval, for example `4.2 points [1.1, 7.3]`."""
    return f"{paired.estimate:z.1f} points {interval(paired.low, paired.high)}"
