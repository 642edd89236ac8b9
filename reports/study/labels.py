"""What policies, attacks and perturbations are called where their own names do not tell them apart."""

import numpy as np
import pandas as pd

from reports.rows.identity import LABELS
from reports.study.attacked import marked
from reports.study.worst import WORST

SHORT = 8
"""Digits of a hash in a name."""

POLICY = ["algorithm", "dataset", "task", "recipe", "checkpoint", "train_seed"]


def policies(episodes: pd.DataFrame) -> pd.Series:
    """What the policy of every episode is called: its algorithm, and as much more as tells the policies apart.

    Different recipes are different policies; an unknown one is its own. Two checkpoints that claim one training seed,
    or have none, are not known to be two runs of one recipe: they are policies of their own.
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
    """The packed episodes with one set of labels per policy file, and one name per attack and perturbation.

    Where the files that an attack or a perturbation names have had several contents, its name says which
    (`adversary:pusher.safetensors#0f3a92c1`).
    """
    return _told_apart(_with_one_set_of_labels(episodes))


def _with_one_set_of_labels(episodes: pd.DataFrame) -> pd.DataFrame:
    """Of several sets of labels that rows of one policy file have the one that says most, by the alphabet if equal."""
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


def _told_apart(episodes: pd.DataFrame) -> pd.DataFrame:
    """With the beginning of the hash behind every name whose files have not always been the same."""
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
    """The beginnings of some hashes, or that nobody knows them."""
    return "+".join(sha[:SHORT] for sha in files.split(";")) if files else "unknown"
