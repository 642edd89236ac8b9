"""What a table does not say by itself: plain sentences about what its numbers can and cannot carry."""

import itertools

import pandas as pd

from reports.choosing import checkpoints_of, choice_notes, records
from reports.grids import families, is_composition
from reports.means import Interval
from reports.names import condition_name, listed, number
from reports.pairing import paired_cells, repeated_cells
from reports.provenance import runs_of
from reports.schema import KEY
from reports.summary import Results, Study, prepare, study, summarize
from reports.worst import WORST, most

FEW_EPISODES = 10
FEW_RUNS = 5
MOST = 6
BUDGET = ["eps", "unit", "norm", "perturbation", "factor"]


def notes(results: Results) -> list[str]:
    """Warnings about these results, in order of weight; the empty list if there is nothing to warn of.

    Raises ValueError as `summarize` does.
    """
    return list(study(results).once(_notes))


def _notes(given: Study) -> list[str]:
    episodes, summary = prepare(given), summarize(given)
    found: list[str] = []
    repeated, runs = repeated_cells(episodes), runs_of(given.about)
    for policy, conditions in summary.groupby("policy", sort=False):
        said = [*_first(_not_clean(conditions)), *_first(_repeats(conditions[conditions.index.isin(repeated)]))]
        said += _yardstick(conditions, episodes)
        said += _first(_rises(conditions, episodes))
        said += _first(choice_notes(conditions, records(runs, checkpoints_of(episodes, str(policy)))))
        for judge in (_unclear, _flagged, _missing, _thin):
            said += _first(judge(conditions))
        found += [f"{policy}: {sentence}" for sentence in said]
    return [*found, *_unrepeatable(given.checked), *_chosen(summary)]


def difference(interval: Interval) -> str:
    """For example `4.2 points [1.1, 7.3]`."""
    return f"{interval.estimate:z.1f} points [{interval.low:z.1f}, {interval.high:z.1f}]"


def _first(sentences: list[str]) -> list[str]:
    """As many sentences of one kind as anybody reads, and how many there are beyond them."""
    if len(sentences) <= MOST + 1:
        return sentences
    return [*sentences[:MOST], f"… and {len(sentences) - MOST} more conditions of which the same is to be said."]


def _yardstick(conditions: pd.DataFrame, episodes: pd.DataFrame) -> list[str]:
    """An attack that searches must hurt more than noise of the same size, or its search has failed."""
    attacked = conditions[(conditions["attack"] != "none") & (conditions["eps"] > 0)]
    search = attacked[~attacked["attack"].isin(["random", WORST])]  # worst is one of the others on other episodes
    random = attacked[attacked["attack"] == "random"]
    noise = dict(zip(random[BUDGET].itertuples(index=False, name=None), random.index.tolist(), strict=True))
    budgets = search[BUDGET].itertuples(index=False, name=None)
    pairs = [(cell, noise.get(budget)) for cell, budget in zip(search.index.tolist(), budgets, strict=True)]
    intervals = paired_cells(episodes, pairs)
    said, unclear, alone = [], [], []
    for (_, condition), interval in zip(search.iterrows(), intervals, strict=True):
        if interval.n == 0:
            alone.append(condition_name(condition))
        elif interval.low > 0:
            said.append(
                f"{condition_name(condition)} hurts less than random noise of the same size, by "
                f"{difference(interval)}: its search fails on this policy, so the row is no evidence of robustness."
            )
        elif not interval.high < 0:
            unclear.append(condition_name(condition))
    if unclear:
        said.append(
            f"{listed(unclear)} cannot be told from random noise of the same size: the difference lies within its "
            "interval."
        )
    if alone:
        said.append(f"{listed(alone)} was not compared with random noise: no common episodes at the same budget.")
    return said


def _rises(conditions: pd.DataFrame, episodes: pd.DataFrame) -> list[str]:
    """A larger budget contains the smaller one, so a better search would never do worse with it."""
    lines = conditions[conditions["attack"] != "none"].groupby(["attack", *BUDGET[1:]], sort=False)
    pairs = [(large, small) for _, line in lines for small, large in itertools.pairwise(line.index)]
    return [
        f"{condition_name(conditions.loc[large])} hurts less than eps {number(conditions.loc[small, 'eps'])}, "
        f"by {difference(interval)}: a larger budget allows all that a smaller one does, so do not read this as "
        "robustness."
        for (large, small), interval in zip(pairs, paired_cells(episodes, pairs), strict=True)
        if interval.low > 0
    ]


def _unclear(conditions: pd.DataFrame) -> list[str]:
    same = _changes_nothing(conditions) | _is_untouched(conditions)  # nothing to say: they are the clean episodes
    changed = conditions[(conditions["block"] != "clean") & (conditions["paired"] > 0) & ~same]
    moved = (changed["change_high"] < 0) | (changed["change_low"] > 0)
    names = [condition_name(row) for _, row in changed[~moved].iterrows()]
    said = []
    if names:
        said.append(f"nothing can be said about {listed(names)}: the change to clean lies within its interval.")
    alone = conditions[(conditions["block"] != "clean") & (conditions["paired"] == 0)]
    if len(alone):
        names = [condition_name(row) for _, row in alone.iterrows()]
        said.append(f"no change to clean is given for {listed(names)}: no clean episode has the same seed.")
    return said


def _not_clean(conditions: pd.DataFrame) -> list[str]:
    """Eps 0 and the nominal factor change nothing, so they must give the clean returns to the last bit."""
    same = conditions[(conditions["block"] != "clean") & _changes_nothing(conditions)]
    moved = (same["change"].abs() > 0) | (same["change_low"] < 0) | (same["change_high"] > 0)
    return [
        f"{condition_name(row)} differs from clean although it changes nothing: do not trust this evaluation."
        for _, row in same[moved].iterrows()
    ]


def _repeats(same: pd.DataFrame) -> list[str]:
    """Of conditions that repeat the clean episodes those that should not, unless all episodes are flagged for it."""
    alone = same[(same["block"] == "perturbation") & ~is_composition(same["perturbation"])]
    return [
        f"{condition_name(row)} gave the clean episodes to the last bit: it changed nothing that these episodes met, "
        "so the row is no evidence of robustness."
        for _, row in alone[alone["factor"] != alone["nominal"]].iterrows()
        if f"no-op-cell ({row['n']})" not in row["flags"].split(", ")
    ]


def _changes_nothing(conditions: pd.DataFrame) -> pd.Series:
    """Whether each condition is the clean one under another name; a composition never is by its last factor alone."""
    alone = ~is_composition(conditions["perturbation"])
    return (conditions["eps"] == 0) & (conditions["factor"] == conditions["nominal"]) & alone


def _is_untouched(conditions: pd.DataFrame) -> pd.Series:
    """Whether each condition is the untouched point of a grid or sample, as far as names and scores tell."""
    found = pd.Series(False, index=conditions.index)
    for family in families(conditions):
        cells = family.cells
        found[cells.index] = family.untouched & (cells["change_low"] == 0) & (cells["change_high"] == 0)
    return found


def _flagged(conditions: pd.DataFrame) -> list[str]:
    flagged = conditions[conditions["flags"] != ""]
    return [
        f"† {condition_name(row)} is flagged: {row['flags']} of {row['n']} episodes." for _, row in flagged.iterrows()
    ]


def _missing(conditions: pd.DataFrame) -> list[str]:
    return [
        f"† {condition_name(row)} leaves out {row['left_out']} of {row['n']} episodes, which have no finite return; "
        "its mean is that of the others."
        for _, row in conditions[conditions["left_out"] > 0].iterrows()
    ]


def _thin(conditions: pd.DataFrame) -> list[str]:
    said = []
    if (conditions["metric"] == "return").any():
        said.append("raw returns are shown, because the task has no reference scores for all of these episodes.")
    fewest = int((conditions["n"] - conditions["left_out"]).min())
    if fewest < FEW_EPISODES:
        said.append(f"as few as {fewest} episodes stand behind a number; {FEW_EPISODES} is the least to rely on.")
    runs = int(conditions["seeds"].min())
    if runs == 1:
        said.append("one training run: the intervals cover its episodes, not what another training seed would give.")
    elif runs < FEW_RUNS:
        said.append(
            f"{runs} training runs: with fewer than {FEW_RUNS} the intervals are wide, and they hold only if runs are "
            "spread normally, which so few cannot show."
        )
    return said


def _unrepeatable(clean: pd.DataFrame) -> list[str]:
    """Clean episodes evaluated beside two budgets must agree: the budget is not used."""
    clean = clean[clean["attack"] == "none"]
    if len(clean[["unit", "norm"]].drop_duplicates()) < 2:
        return []  # one budget: `check` has seen that no episode is there twice
    distinct = clean.assign(unit="", norm="").drop_duplicates([*KEY, "return", "length"])
    several = int(distinct.duplicated(list(KEY)).sum())
    if not several:
        return []
    return [f"{several} clean episodes were evaluated twice with different outcomes: the evaluation is not repeatable."]


def _chosen(summary: pd.DataFrame) -> list[str]:
    blocks = [block for name, block in summary.groupby("block") if name != "clean"]
    if max((most(block) for block in blocks), default=0) < 2:
        return []
    said = [
        "The worst case is chosen on the same episodes that measure it, which flatters the adversary; evaluate it "
        "again with another seed before quoting it."
    ]
    if families(summary):
        said.append(
            "The worst point of a grid or sample is the worst of the points that were tried, not of the set they stand "
            "for: a finer grid or a larger sample can only lower it."
        )
    return said
