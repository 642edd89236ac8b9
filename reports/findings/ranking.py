"""Which policy is best under a condition, and which are not shown to be worse."""

import numpy as np
import pandas as pd

from reports.study.pairing import paired_cells
from reports.study.summary import CONDITION, Results, Study, study_of

CAPTION = "Bold: the best policy under a condition where it can be told from another, and those not shown to be worse."


def leaders(results: Results) -> set[int]:
    """The cells (rows of `summarize`) of the best policies, for every condition that several policies of a task share.

    The best has the highest mean; with it stand those whose paired difference to it (95 %, over episodes of equal
    seeds, runs paired by their seed unless both sides have one) is not wholly below 0, or that share no episode with
    it. None is a leader where all would be.
    """
    return study_of(results).once(_leaders)


def _leaders(study: Study) -> set[int]:
    episodes, summary = study.episodes, study.summary
    leading: set[int] = set()
    if summary["policy"].nunique() < 2:
        return leading
    rivals = _rivals(episodes, summary)
    seeds = ["eval_seed"]
    alone = {cell for cell in summary.index[summary["seeds"] == 1].tolist()}
    pairs = [(best, other) for best, others in rivals for other in others]
    worse: dict[tuple[int, int], bool] = {}
    for key, single in ((seeds, True), (["train_seed", *seeds], False)):
        chosen = [pair for pair in pairs if (pair[0] in alone and pair[1] in alone) == single]
        if chosen:
            start = episodes.groupby(key, sort=False, dropna=False).ngroup()
            intervals = paired_cells(episodes.assign(start=start), chosen)
            worse |= {pair: interval.low > 0 for pair, interval in zip(chosen, intervals, strict=True)}
    for best, others in rivals:
        equal = {other for other in others if not worse[best, other]}
        leading |= {best, *equal} if len(equal) < len(others) else set()
    return leading


def _rivals(episodes: pd.DataFrame, summary: pd.DataFrame) -> list[tuple[int, list[int]]]:
    """For every condition of a task and metric the best cell and the others, if there are others."""
    first = np.searchsorted(episodes["cell"].to_numpy(), summary.index.to_numpy())
    task = episodes["task"].astype(object).to_numpy()[first]
    measured = summary.assign(task=task)[summary["mean"].notna()]
    rivals = []
    for _, cells in measured.groupby(["task", "metric", *CONDITION], sort=False):
        best = int(cells.index[int(np.argmax(cells["mean"].to_numpy()))])
        others = [cell for cell in cells.index.tolist() if cell != best]
        rivals += [(best, others)] if others else []
    return rivals
