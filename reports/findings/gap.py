"""The attack gap: the difference between every attack and the oracle of the same budget."""

import numpy as np
import pandas as pd

from reports.statistics.means import Interval
from reports.study.attacked import is_oracle, sensors_of
from reports.study.pairing import paired_cells
from reports.study.summary import Results, study_of

BUDGET = ["policy", "eps", "unit", "norm", "perturbation", "factor"]


def gap_numbers(results: Results) -> pd.DataFrame:
    """The attack gaps: one row per attack and oracle of one policy, budget, perturbation and set of sensors.

    Columns: policy, metric, attack, eps, unit, norm, perturbation, factor, oracle (its text), n (paired episodes), gap
    (value under the attack minus value under the oracle) with low and high, share (of the oracle's loss, in percent;
    NaN unless that loss is significant) and reading: `weaker`, `no difference shown` or `stronger` than the oracle.
    The table has no rows without an oracle. Raises ValueError as `summarize` does.
    """
    study = study_of(results)
    episodes, summary = study.episodes, study.summary
    pairs = _pairs(summary)
    untouched = _untouched(summary, [oracle for _, oracle in pairs])
    gaps = paired_cells(episodes, pairs) if pairs else []
    alone = [(oracle, cell) for (_, oracle), cell in zip(pairs, untouched, strict=True)]
    losses = paired_cells(episodes, alone) if pairs else []
    rows = []
    for (attack, oracle), gap, loss in zip(pairs, gaps, losses, strict=True):
        if gap.n:
            head = dict(summary.loc[attack, ["policy", "metric", "attack", *BUDGET[1:]]])
            rows.append(head | {"oracle": summary.loc[oracle, "attack"]} | _numbers(gap, loss))
    return pd.DataFrame(rows)


def _pairs(summary: pd.DataFrame) -> list[tuple[int, int]]:
    """Pairs of cells: an attack and an oracle with the same budget, perturbation and sensors."""
    attacked = summary[(summary["attack"] != "none") & (summary["eps"] > 0)]
    oracles = attacked["attack"].map(is_oracle).astype(bool)
    named = attacked.assign(sensors=sensors_of(attacked["attack"]), is_oracle=oracles)
    return sorted(
        (int(attack), int(oracle))
        for _, alike in named.groupby([*BUDGET, "sensors"], sort=False)
        for attack in alike.index[~alike["is_oracle"]]
        for oracle in alike.index[alike["is_oracle"]]
    )


def _untouched(summary: pd.DataFrame, cells: list[int]) -> list[int | None]:
    """The cell without an attack of the same policy and perturbation, for each cell; None unless there is one."""
    world = ["policy", "perturbation", "factor"]
    rest = summary[summary["attack"] == "none"]
    alone = rest[~rest.duplicated(world, keep=False)]
    known = dict(zip(alone[world].itertuples(index=False, name=None), alone.index.tolist(), strict=True))
    return [known.get(tuple(summary.loc[cell, world])) for cell in cells]


def _numbers(gap: Interval, loss: Interval) -> dict[str, object]:
    """Columns of one gap. `loss` is negative if the oracle lowers the value; the share needs a significant loss."""
    share = 100 * (1 + gap.estimate / loss.estimate) if loss.n == gap.n and loss.high < 0 else np.nan
    reading = "weaker" if gap.low > 0 else "stronger" if gap.high < 0 else "no difference shown"
    return {
        "n": gap.n,
        "gap": gap.estimate,
        "gap_low": gap.low,
        "gap_high": gap.high,
        "share": share,
        "reading": reading,
    }
