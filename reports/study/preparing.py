"""Episodes made ready: which policy and block each belongs to, what it is worth, and one fixed order of cells."""

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
"""Episodes that agree in these start from the same state, so their difference is the condition's doing."""

LARGEST = 1e100
"""Scores and returns beyond this count as missing: their squares have no float64."""

BLOCKS = ("clean", "attack", "perturbation", "attack and perturbation")


def prepared(episodes: pd.DataFrame) -> pd.DataFrame:
    """What `prepare` returns, of a packed table with every episode once; raises ValueError where it has no rows."""
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
    """With texts that can be shown (`printable.names`): distinct ones stay distinct."""
    texts = {name: list(episodes[name].cat.categories) for name in TEXTS}
    fit = {name: names(own) for name, own in texts.items()}
    changed = {name: episodes[name].cat.rename_categories(fit[name]) for name in TEXTS if fit[name] != texts[name]}
    return episodes.assign(**changed)


def _blocks(episodes: pd.DataFrame) -> pd.Series:
    attacked, perturbed = episodes["attack"] != "none", episodes["perturbation"] != "none"
    code = attacked.to_numpy() + 2 * perturbed.to_numpy()
    return pd.Series(pd.Categorical(np.array(BLOCKS, object)).take(code), index=episodes.index)


def _sorted(episodes: pd.DataFrame) -> pd.DataFrame:
    """In the order of cells, then of training seed, seed and episode; only the few cells are sorted by text."""
    code = episodes.groupby(CELL, sort=False, observed=True).ngroup().to_numpy()
    heads = heads_of(episodes, np.unique(code, return_index=True)[1])
    keys = heads[["policy", "attack", "unit", "norm", "eps", "perturbation", "factor", "nominal"]].copy()
    keys.insert(1, "block", heads["block"].map(BLOCKS.index))
    keys.insert(2, "search", heads["attack"] != "random")  # the yardstick stands above what is measured by it
    keys.insert(3, "last", heads["attack"] == WORST)
    cell = np.argsort(keys.sort_values(list(keys.columns)).index.to_numpy())[code]
    seeds = pd.factorize(episodes["train_seed"], sort=True)[0]
    numbers = (episodes[name].to_numpy() for name in ("episode", "eval_seed"))
    order = np.lexsort([*numbers, np.where(seeds < 0, len(seeds), seeds), cell])
    return episodes.assign(cell=cell).iloc[order].reset_index(drop=True)


def heads_of(episodes: pd.DataFrame, rows: Integers) -> pd.DataFrame:
    """What names the cells of these rows, as plain text and numbers."""
    heads = episodes[CELL].iloc[rows].reset_index(drop=True)
    return heads.astype(dict.fromkeys([*CELL[:4], "unit", "norm", "perturbation"], object))
