"""The best policies under a condition: the highest mean, and those not significantly worse."""

import numpy as np
import pandas as pd

from reports.study.pairing import paired_cells
from reports.study.summary import CONDITION, Results, Study, study_of

CAPTION = "Bold: the highest mean and all policies not significantly worse, in conditions where at least one is."


def leaders(results: Results) -> set[int]:
    """The cells (rows of `summarize`) of the best policies, for every condition that several policies of a task share.

    The leaders are the policy with the highest mean and those not significantly worse. These share no episode with it,
    or the 95 % interval of the paired difference includes 0. Pairs have equal evaluation seeds, and equal
    training seeds unless both sides have one run. A condition in which all policies would be leaders has none.
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
    """The best cell and the others, for every condition, task and metric with several policies."""
    first = np.searchsorted(episodes["cell"].to_numpy(), summary.index.to_numpy())
    task = episodes["task"].astype(object).to_numpy()[first]
    measured = summary.assign(task=task)[summary["mean"].notna()]
    rivals = []
    for _, cells in measured.groupby(["task", "metric", *CONDITION], sort=False):
        best = int(cells.index[int(np.argmax(cells["mean"].to_numpy()))])
        others = [cell for cell in cells.index.tolist() if cell != best]
        rivals += [(best, others)] if others else []
    return rivals
