"""Distinct labels of policies, attacks and perturbations whose own names are equal."""

import numpy as np
import pandas as pd

from reports.rows.identity import LABELS
from reports.study.attacked import marked
from reports.study.worst import WORST

SHORT = 8
"""Number of digits of a hash in a label."""

POLICY = ["algorithm", "dataset", "task", "recipe", "checkpoint", "train_seed"]


def policies(episodes: pd.DataFrame) -> pd.Series:
    """The label of every episode's policy: its algorithm, with as much detail as separates the policies.

    Every recipe is a policy of its own, and so is the unknown recipe. Two checkpoints with equal or missing training
    seeds may not be two runs of one recipe, so they are two policies.
    """
    code = episodes.groupby(POLICY, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    kinds = episodes[POLICY].iloc[np.unique(code, return_index=True)[1]].reset_index(drop=True)
    kinds = kinds.astype(dict.fromkeys(POLICY[:-1], object))
    label = kinds["algorithm"]
    for name in ("dataset", "task"):
        if kinds[name].nunique() > 1:
            label = label + ", " + kinds[name].where(kinds[name] != "", f"no {name}")
    several = kinds.groupby(label)["recipe"].transform("nunique") > 1
    recipe = ("recipe " + kinds["recipe"].str[:SHORT]).where(kinds["recipe"] != "", "recipe unknown")
    label = label.where(~several, label + ", " + recipe)
    known = kinds.groupby(label)
    apart = known["checkpoint"].transform("nunique") > known["train_seed"].transform("nunique").clip(lower=1)
    label = label.where(~apart, label + " " + kinds["checkpoint"].str[:SHORT])
    return pd.Series(pd.Categorical(label).take(code), index=episodes.index)


def labelled(episodes: pd.DataFrame) -> pd.DataFrame:
    """The packed episodes with one set of labels per policy file, and distinct names of attacks and perturbations.

    If the files of an attack or a perturbation have several contents, its name includes the beginning of the hash
    (`adversary:pusher.safetensors#0f3a92c1`).
    """
    return _distinct(_with_one_set_of_labels(episodes))


def _with_one_set_of_labels(episodes: pd.DataFrame) -> pd.DataFrame:
    """The episodes with one set of labels per policy file: the most complete one, or the alphabetically first."""
    names = ["checkpoint", "task", *LABELS, "recipe"]
    code = episodes.groupby(names, sort=False, dropna=False, observed=True).ngroup().to_numpy()
    kinds = episodes[names].iloc[np.unique(code, return_index=True)[1]].reset_index(drop=True)
    kinds = kinds.astype(dict.fromkeys(["checkpoint", "task", "algorithm", "dataset", "recipe"], object))
    again = kinds.duplicated(["checkpoint", "task"], keep=False) & (kinds["checkpoint"] != "")
    if not again.any():
        return episodes
    blanks = (kinds[["algorithm", "dataset", "recipe"]] == "").sum(axis=1) + kinds["train_seed"].isna()
    ordered = kinds.assign(blanks=blanks).sort_values(["blanks", *LABELS, "recipe"])
    first = ordered.groupby(["checkpoint", "task"], sort=False).head(1).set_index(["checkpoint", "task"])
    own = pd.MultiIndex.from_frame(kinds[["checkpoint", "task"]])
    chosen = first.reindex(own).reset_index(drop=True)
    labels = ["algorithm", "dataset", "recipe"]
    columns = {name: pd.Categorical(chosen[name].where(again, kinds[name])).take(code) for name in labels}
    seeds = chosen["train_seed"].where(again, kinds["train_seed"]).astype("Int64")
    return episodes.assign(**columns, train_seed=seeds.take(code).to_numpy())


def _distinct(episodes: pd.DataFrame) -> pd.DataFrame:
    """The episodes with part of the hash after every name whose files have several contents."""
    for name, files in (("attack", "attack_files"), ("perturbation", "perturbation_files")):
        if (episodes[files] == "").all():
            continue
        code = episodes.groupby([name, files], sort=False, observed=True).ngroup().to_numpy()
        kinds = episodes[[name, files]].iloc[np.unique(code, return_index=True)[1]].astype(object)
        several = (kinds.groupby(name)[files].transform("nunique") > 1).to_numpy() & (kinds[name] != WORST).to_numpy()
        if several.any():
            labels = [
                marked(text, _short(sha)) if apart else text
                for text, sha, apart in zip(kinds[name], kinds[files], several, strict=True)
            ]
            episodes = episodes.assign(**{name: pd.Categorical(labels).take(code)})
    return episodes


def _short(files: str) -> str:
    """The beginnings of hashes, joined by `+`; `unknown` without any."""
    return "+".join(sha[:SHORT] for sha in files.split(";")) if files else "unknown"
