"""From episodes to conditions: every number of every table and curve, before it is rounded.

A *policy* is what gets a column: algorithm, dataset and task, with its training runs pooled. A *condition* is what
gets a row: attack and eps, perturbation and factor (with the factor that would change nothing). One policy under one
condition is a *cell*. Cells are summed up all at once: a million episodes must not wait for a loop over conditions.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd

from reports.columns import statistics_of
from reports.means import Floats, Integers, mean_intervals
from reports.schema import KEY, SCHEMA, check

CONDITION = ["block", "attack", "eps", "unit", "norm", "perturbation", "factor", "nominal"]
CELL = ["policy", "metric", *CONDITION]
PAIR = ["policy", "train_seed", "eval_seed", "episode"]
"""Episodes that agree in these start from the same state, so their difference is the condition's doing."""

IN_UNITS = "sensor-"
"""Perturbations of this name are measured in the same unit as eps."""

BLOCKS = ("clean", "attack", "perturbation", "attack and perturbation")


@dataclass(frozen=True, eq=False)
class Study:
    """A results table, checked, prepared and summed up at most once for all that is made of it."""

    frame: pd.DataFrame

    @cached_property
    def checked(self) -> pd.DataFrame:
        """The table as `check` returns it; raises ValueError as `check` does."""
        return check(self.frame)

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """What `prepare` returns."""
        return _prepared(self.checked)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """What `summarize` returns."""
        return _summarized(self.episodes)

    @cached_property
    def comparable(self) -> Study:
        """Scores and raw returns never share an axis: raw returns for all, if one policy has only those."""
        return Study(self.frame.assign(score=np.nan)) if self.episodes["metric"].nunique() > 1 else self


Results: TypeAlias = pd.DataFrame | Study
"""A results table, or one that was prepared before."""


def study(results: Results) -> Study:
    """The study of a table; a study itself stays what it is."""
    return results if isinstance(results, Study) else Study(results)


def prepare(results: Results) -> pd.DataFrame:
    """The checked episodes in a fixed order, with columns policy, metric, block, value, cell, start and clean.

    `value` is the normalized score, or the raw return for a policy with an episode that has a return but no score
    (`metric` says which). Where nothing is measured in a unit there is none: a clean episode evaluated beside two
    budgets counts once. `cell` is the row of `summarize`; episodes of one `start` begin in one state with one policy,
    and `clean` is the value of the clean one. The order of the given rows changes nothing.

    Raises:
        ValueError: as `check`, or there are no rows.
    """
    return study(results).episodes


def summarize(results: Results) -> pd.DataFrame:
    """One row per policy and condition, clean first, every number in full precision.

    Columns: policy, metric, the condition, n (episodes), left_out (of these, without a value), seeds (training
    runs), mean with low and high (95 %, `mean_interval`), std, median, iqm, cvar (worst 10 %), optimality_gap (scores
    only), change to clean with low and high and in percent over `paired` common episodes, flags with counts.
    """
    return study(results).summary


def _prepared(episodes: pd.DataFrame) -> pd.DataFrame:
    if episodes.empty:
        raise ValueError("there are no episodes to report; run an evaluation first.")
    texts = [name for name, dtype in SCHEMA.items() if dtype == "str" and name not in ("perturbation", "flags")]
    episodes = _once(episodes).astype(dict.fromkeys(texts, "category"))  # few texts in very many rows
    episodes = episodes.assign(policy=_labels(episodes), block=_blocks(episodes))
    unscored = episodes["score"].isna() & np.isfinite(episodes["return"])
    raw = episodes["policy"].isin(episodes.loc[unscored, "policy"].unique())
    value = episodes["score"].where(~raw, episodes["return"])
    metric = pd.Categorical(np.array(["score", "return"], object)).take(raw.to_numpy().astype(np.int64))
    episodes = _sorted(episodes.assign(metric=metric, value=value.where(np.isfinite(value))))
    start = episodes.groupby(PAIR, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    clean = np.full(start.max() + 1, np.nan)
    untouched = (episodes["block"] == "clean").to_numpy()
    clean[start[untouched]] = episodes["value"].to_numpy()[untouched]
    return episodes.assign(start=start, clean=clean[start])


def _once(episodes: pd.DataFrame) -> pd.DataFrame:
    """Without units where nothing is measured in one, and without the repetitions that this leaves."""
    measured = (episodes["attack"] != "none") | episodes["perturbation"].str.contains(IN_UNITS, regex=False)
    budgets = episodes.loc[~measured, ["unit", "norm"]].drop_duplicates()
    episodes = episodes.assign(**{name: episodes[name].where(measured, "") for name in ("unit", "norm")})
    return episodes.drop_duplicates(list(KEY)) if len(budgets) > 1 else episodes


def _labels(episodes: pd.DataFrame) -> pd.Series:
    """What a policy is called: its algorithm, and as much more as is needed to tell the policies apart.

    Two checkpoints that claim one training seed, or have none, are not known to be two runs of one recipe: they are
    policies of their own.
    """
    names = ["algorithm", "dataset", "task", "checkpoint", "train_seed"]
    code = episodes.groupby(names, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    kinds = episodes[names].iloc[np.unique(code, return_index=True)[1]].reset_index(drop=True)
    kinds = kinds.astype(dict.fromkeys(names[:-1], object))
    label = kinds["algorithm"]
    for name in ("dataset", "task"):
        if kinds[name].nunique() > 1:
            label = label + ", " + kinds[name].where(kinds[name] != "", f"no {name}")
    known = kinds.groupby(label)
    apart = known["checkpoint"].transform("nunique") > known["train_seed"].transform("nunique").clip(lower=1)
    label = label.where(~apart, label + " " + kinds["checkpoint"].str[:8])
    return pd.Series(pd.Categorical(label).take(code), index=episodes.index)


def _blocks(episodes: pd.DataFrame) -> pd.Series:
    attacked, perturbed = episodes["attack"] != "none", episodes["perturbation"] != "none"
    code = attacked.to_numpy() + 2 * perturbed.to_numpy()
    return pd.Series(pd.Categorical(np.array(BLOCKS, object)).take(code), index=episodes.index)


def _sorted(episodes: pd.DataFrame) -> pd.DataFrame:
    """In the order of cells, then of training seed, seed and episode; only the few cells are sorted by text."""
    code = episodes.groupby(CELL, sort=False, observed=True).ngroup().to_numpy()
    heads = _heads(episodes, np.unique(code, return_index=True)[1])
    keys = heads[["policy", "attack", "unit", "norm", "eps", "perturbation", "factor", "nominal"]].copy()
    keys.insert(1, "block", heads["block"].map(BLOCKS.index))
    keys.insert(2, "search", heads["attack"] != "random")  # the yardstick stands above what is measured by it
    cell = np.argsort(keys.sort_values(list(keys.columns)).index.to_numpy())[code]
    seeds = pd.factorize(episodes["train_seed"], sort=True)[0]
    numbers = (episodes[name].to_numpy() for name in ("episode", "eval_seed"))
    order = np.lexsort([*numbers, np.where(seeds < 0, len(seeds), seeds), cell])
    return episodes.assign(cell=cell).iloc[order].reset_index(drop=True)


def _heads(episodes: pd.DataFrame, rows: Integers) -> pd.DataFrame:
    """What names the cells of these rows, as plain text and numbers."""
    heads = episodes[CELL].iloc[rows].reset_index(drop=True)
    return heads.astype(dict.fromkeys([*CELL[:4], "unit", "norm", "perturbation"], object))


def _summarized(episodes: pd.DataFrame) -> pd.DataFrame:
    cell = episodes["cell"].to_numpy()
    cells = int(cell[-1]) + 1
    value, clean = (episodes[name].to_numpy(np.float64) for name in ("value", "clean"))
    run = pd.factorize(episodes["train_seed"], use_na_sentinel=False)[0].astype(np.int64)
    first = np.searchsorted(cell, np.arange(cells))
    heads = _heads(episodes, first)
    present = np.isfinite(value)
    n = np.bincount(cell, minlength=cells)
    seeds = np.bincount(np.unique(cell * (run.max() + 1) + run) // (run.max() + 1), minlength=cells)
    counts = {"n": n, "left_out": n - np.bincount(cell[present], minlength=cells), "seeds": seeds}
    mean, low, high = mean_intervals(value[present], cell[present], run[present], cells)
    numbers = {"mean": mean, "low": low, "high": high} | statistics_of(value[present], cell[present], cells)
    numbers["optimality_gap"] = np.where(heads["metric"] == "score", numbers["optimality_gap"], np.nan)
    paired = present & np.isfinite(clean) & (episodes["block"] != "clean").to_numpy()
    change = _change(value[paired], clean[paired], cell[paired], run[paired], cells)
    return heads.assign(**counts, **numbers, **change, flags=_flags(episodes, cells))


def _change(value: Floats, clean: Floats, cell: Integers, run: Integers, cells: int) -> dict[str, Floats | Integers]:
    """Points and percent against the clean episodes with the same start; percent only of a positive clean mean."""
    paired = np.bincount(cell, minlength=cells)
    change, low, high = mean_intervals(value - clean, cell, run, cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        before = np.bincount(cell, clean, cells) / paired
        percent = np.where(before > 0, 100 * change / before, np.nan)
    return {"paired": paired, "change": change, "change_low": low, "change_high": high, "change_percent": percent}


def _flags(episodes: pd.DataFrame, cells: int) -> list[str]:
    """For example `zero-gradient (3)`, per cell: the number of episodes with each flag."""
    flagged = episodes.loc[episodes["flags"] != "", ["cell", "flags"]]
    counts = [Counter[str]() for _ in range(cells)]
    for cell, flags, count in flagged.value_counts().reset_index().itertuples(index=False):
        counts[cell].update({name: count for name in flags.split(";") if name})
    return [", ".join(f"{name} ({count})" for name, count in sorted(one.items())) for one in counts]
