"""From episodes to conditions: every number of every table and curve, before it is rounded.

A *policy* is what gets a column: algorithm, dataset and task, with its training runs pooled. A *condition* is what
gets a row: attack and eps, perturbation and factor (with the factor that would change nothing).
"""

from collections import Counter

import numpy as np
import pandas as pd

from reports.schema import KEY, check
from reports.scores import Floats, bootstrap_interval, cvar, iqm, mean, median, optimality_gap

CONDITION = ["block", "attack", "eps", "unit", "norm", "perturbation", "factor", "nominal"]
PAIR = ["policy", "train_seed", "eval_seed", "episode"]
"""Episodes that agree in these start from the same state, so their difference is the condition's doing."""

IN_UNITS = "sensor-"
"""Perturbations of this name are measured in the same unit as eps."""

BLOCKS = ("clean", "attack", "perturbation", "attack and perturbation")


def prepare(frame: pd.DataFrame) -> pd.DataFrame:
    """The checked episodes in a fixed order, with columns policy, metric, value, block and clean (paired value).

    `value` is the normalized score, or the raw return for a policy with an episode that has a return but no score
    (`metric` says which). Where nothing is measured in a unit there is none: a clean episode evaluated beside two
    budgets counts once. The order of the given rows changes nothing.

    Raises:
        ValueError: as `check`, or there are no rows.
    """
    episodes = check(frame)
    if episodes.empty:
        raise ValueError("there are no episodes to report; run an evaluation first.")
    measured = (episodes["attack"] != "none") | episodes["perturbation"].str.contains(IN_UNITS, regex=False)
    episodes.loc[~measured, ["unit", "norm"]] = ""
    episodes = episodes.drop_duplicates(list(KEY)).assign(policy=_labels(episodes), block=_blocks(episodes))
    unscored = episodes["score"].isna() & np.isfinite(episodes["return"])
    raw = unscored.groupby(episodes["policy"]).transform("any")
    value = episodes["score"].where(~raw, episodes["return"])
    episodes = episodes.assign(metric=np.where(raw, "return", "score"), value=value.where(np.isfinite(value)))
    clean = episodes.loc[episodes["block"] == "clean", [*PAIR, "value"]].rename(columns={"value": "clean"})
    return _sorted(episodes.merge(clean, on=PAIR, how="left", validate="many_to_one"))


def summarize(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per policy and condition, clean first, every number in full precision.

    Columns: policy, metric, the condition, n (episodes), left_out (of these, without a value), seeds (training
    runs), mean with low and high (95 % bootstrap), std, median, iqm, cvar (worst 10 %), optimality_gap (scores
    only), change to clean with low and high and in percent over `paired` common episodes, flags with counts.
    """
    rows = []
    for key, episodes in prepare(frame).groupby(["policy", "metric", *CONDITION], sort=False):
        names = dict(zip(["policy", "metric", *CONDITION], key, strict=True))
        rows.append(names | _level(episodes) | _change(episodes) | {"flags": _flags(episodes)})
    return pd.DataFrame(rows)


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores and raw returns never share an axis: raw returns for all, if one policy has only those."""
    return frame.assign(score=np.nan) if prepare(frame)["metric"].nunique() > 1 else frame


def _labels(episodes: pd.DataFrame) -> pd.Series:
    """What a policy is called: its algorithm, and as much more as is needed to tell the policies apart.

    Two checkpoints that claim one training seed, or have none, are not known to be two runs of one recipe: they are
    policies of their own.
    """
    label = episodes["algorithm"].astype(object)
    for name in ("dataset", "task"):
        if episodes[name].nunique() > 1:
            label = label + ", " + episodes[name].where(episodes[name] != "", f"no {name}")
    known = episodes.groupby(label)
    apart = known["checkpoint"].transform("nunique") > known["train_seed"].transform("nunique").clip(lower=1)
    return label.where(~apart, label + " " + episodes["checkpoint"].str[:8])


def _blocks(episodes: pd.DataFrame) -> pd.Series:
    attacked, perturbed = episodes["attack"] != "none", episodes["perturbation"] != "none"
    return pd.Series(np.array(BLOCKS, object)[attacked.to_numpy() + 2 * perturbed.to_numpy()], index=episodes.index)


def _sorted(episodes: pd.DataFrame) -> pd.DataFrame:
    keys = episodes[["policy", "attack", "unit", "norm", "eps", "perturbation", "factor", *PAIR[1:]]].copy()
    keys.insert(1, "block", episodes["block"].map(BLOCKS.index))
    keys.insert(2, "search", episodes["attack"] != "random")  # the yardstick stands above what is measured by it
    return episodes.loc[keys.sort_values(list(keys.columns)).index].reset_index(drop=True)


def _level(episodes: pd.DataFrame) -> dict[str, object]:
    present = episodes[episodes["value"].notna()]
    x: Floats = present["value"].to_numpy(np.float64)
    counts: dict[str, object] = {"n": len(episodes), "left_out": len(episodes) - len(x), "seeds": _seeds(episodes)}
    names = ("mean", "low", "high", "std", "median", "iqm", "cvar", "optimality_gap")
    if not len(x):
        return counts | dict.fromkeys(names, np.nan)
    interval = bootstrap_interval(x, mean, groups=present["train_seed"].tolist())
    spread = float(np.std(x, ddof=1)) if len(x) > 1 else np.nan
    gap = float(optimality_gap(x)) if episodes["metric"].iloc[0] == "score" else np.nan
    numbers = (interval.estimate, interval.low, interval.high, spread, *(float(f(x)) for f in (median, iqm, cvar)), gap)
    return counts | dict(zip(names, numbers, strict=True))


def _change(episodes: pd.DataFrame) -> dict[str, object]:
    """Points and percent against the clean episodes with the same start; percent only of a positive clean mean."""
    pairs = episodes[episodes["value"].notna() & episodes["clean"].notna()]
    names = ("change", "change_low", "change_high", "change_percent")
    if episodes["block"].iloc[0] == "clean" or pairs.empty:
        return {"paired": 0} | dict.fromkeys(names, np.nan)
    difference = (pairs["value"] - pairs["clean"]).to_numpy(np.float64)
    interval = bootstrap_interval(difference, mean, groups=pairs["train_seed"].tolist())
    clean = float(pairs["clean"].mean())
    percent = 100 * interval.estimate / clean if clean > 0 else np.nan
    numbers = (interval.estimate, interval.low, interval.high, percent)
    return {"paired": len(pairs)} | dict(zip(names, numbers, strict=True))


def _seeds(episodes: pd.DataFrame) -> int:
    return int(episodes["train_seed"].nunique(dropna=False))


def _flags(episodes: pd.DataFrame) -> str:
    """For example `zero-gradient (3)`: the number of episodes with each flag."""
    counts = Counter(name for flags in episodes["flags"] for name in flags.split(";") if name)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
