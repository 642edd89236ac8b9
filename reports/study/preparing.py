"""Preparation of episodes: policy, block, value and cell of each, in one fixed order."""

import numpy as np
import pandas as pd

from reports.rows.identity import measured
from reports.rows.packing import TEXTS
from reports.rows.printable import names
from reports.statistics.means import Integers
from reports.study.labels import labelled, policies
from reports.study.worst import WORST

CONDITION = ["block", "attack", "eps", "unit", "norm", "perturbation", "factor", "nominal"]
CELL = ["policy", "metric", *CONDITION]
PAIR = ["policy", "train_seed", "eval_seed"]
"""Columns of a start: episodes that agree in these start from the same state, so they can be paired."""

LARGEST = 1e100
"""Largest score or return; larger ones count as missing, because their squares overflow float64."""

BLOCKS = ("clean", "attack", "perturbation", "attack and perturbation")


def prepared(episodes: pd.DataFrame) -> pd.DataFrame:
    """The result of `prepare` for a packed table with every episode once; raises ValueError if it has no rows."""
    if episodes.empty:
        raise ValueError("there are no episodes to report; run an evaluation first.")
    episodes = labelled(readable(measured(episodes)))
    episodes = episodes.assign(policy=policies(episodes), block=_blocks(episodes))
    unscored = episodes["score"].isna() & np.isfinite(episodes["return"])
    raw = episodes["policy"].isin(episodes.loc[unscored, "policy"].unique())
    value = episodes["score"].where(~raw, episodes["return"])
    metric = pd.Categorical(np.array(["score", "return"], object)).take(raw.to_numpy().astype(np.int64))
    episodes = _sorted(episodes.assign(metric=metric, value=value.where(value.abs() <= LARGEST)))
    start = episodes.groupby(PAIR, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    clean = np.full(start.max() + 1, np.nan)
    untouched = (episodes["block"] == "clean").to_numpy()
    clean[start[untouched]] = episodes["value"].to_numpy()[untouched]
    return episodes.assign(start=start, clean=clean[start])


def readable(episodes: pd.DataFrame) -> pd.DataFrame:
    """The episodes with printable texts (`printable.names`); distinct texts stay distinct."""
    texts = {name: list(episodes[name].cat.categories) for name in TEXTS}
    fit = {name: names(own) for name, own in texts.items()}
    changed = {name: episodes[name].cat.rename_categories(fit[name]) for name in TEXTS if fit[name] != texts[name]}
    return episodes.assign(**changed)


def _blocks(episodes: pd.DataFrame) -> pd.Series:
    attacked, perturbed = episodes["attack"] != "none", episodes["perturbation"] != "none"
    code = attacked.to_numpy() + 2 * perturbed.to_numpy()
    return pd.Series(pd.Categorical(np.array(BLOCKS, object)).take(code), index=episodes.index)


def _sorted(episodes: pd.DataFrame) -> pd.DataFrame:
    """The episodes sorted by cell, training seed, evaluation seed and episode number, with the column `cell`."""
    code = episodes.groupby(CELL, sort=False, observed=True).ngroup().to_numpy()
    heads = heads_of(episodes, np.unique(code, return_index=True)[1])
    keys = heads[["policy", "attack", "unit", "norm", "eps", "perturbation", "factor", "nominal"]].copy()
    keys.insert(1, "block", heads["block"].map(BLOCKS.index))
    keys.insert(2, "search", heads["attack"] != "random")  # the baseline comes before the searches
    keys.insert(3, "last", heads["attack"] == WORST)
    cell = np.argsort(keys.sort_values(list(keys.columns)).index.to_numpy())[code]
    seeds = pd.factorize(episodes["train_seed"], sort=True)[0]
    numbers = (episodes[name].to_numpy() for name in ("episode", "eval_seed"))
    order = np.lexsort([*numbers, np.where(seeds < 0, len(seeds), seeds), cell])
    return episodes.assign(cell=cell).iloc[order].reset_index(drop=True)


def heads_of(episodes: pd.DataFrame, rows: Integers) -> pd.DataFrame:
    """The columns `CELL` of these rows, as plain texts and numbers."""
    heads = episodes[CELL].iloc[rows].reset_index(drop=True)
    return heads.astype(dict.fromkeys([*CELL[:4], "unit", "norm", "perturbation"], object))
