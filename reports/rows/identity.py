"""What identifies an episode: what decides it, and nothing else.

The policy file, the task and the seed of the episode, the attack with the content of the files that it names, its
budget, and the perturbation decide what happens. The number that a command gave to the episode and the labels of the
policy decide nothing. A unit decides only where something is measured in it, a norm only where something is attacked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.rows.schema import KEY, OUTCOME

LABELS = ("algorithm", "dataset", "train_seed")
"""What a policy is called. It identifies the policy only where nobody knows the file."""

IN_UNIT = ("sensor-bias", "sensor-noise")
"""Perturbations whose factors are in the row's unit, for rows that name a unit although they need not."""

Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """How many rows were left out because others are of the same episodes, and how many episodes disagree."""

    rows: int = 0
    disagreeing: int = 0


def keys_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns `KEY` of every row, equal for equal episodes and only for them; texts may be packed.

    The keys of keys are the same keys. Where no checkpoint is named, the labels of the policy stand in its place.
    """
    return measured(rows).assign(checkpoint=_policies(rows))[list(KEY)]


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows without units and norms where nothing is measured in them."""
    attacked = (rows["attack"] != "none").to_numpy(bool)
    unit = attacked | _marked(rows["perturbation"], in_unit)
    return rows.assign(unit=_kept(rows["unit"], unit), norm=_kept(rows["norm"], attacked))


def in_unit(perturbation: str) -> bool:
    """Whether a part of this perturbation is measured in the unit of the row, as far as its name tells.

    Nobody knows it of `module:name`, so its unit counts.
    """
    names = (part.partition("=")[0].partition("@")[0] for part in perturbation.split(","))
    return any(name in IN_UNIT or (":" in name and not name.startswith("compat:")) for name in names)


def once(rows: pd.DataFrame) -> tuple[pd.DataFrame, Repeats]:
    """The rows with every episode once, in their order, and what was left out.

    Which of several rows stays does not depend on their order: one with flags first, then the one with the lowest
    number of the episode. Rows disagree where return, length or score differ.
    """
    keys = keys_of(rows)
    if not keys.duplicated().any():
        return rows, Repeats()
    several = keys.duplicated(keep=False).to_numpy()
    some = rows[several].astype({name: object for name in ("flags", "algorithm", "dataset", "recipe")})
    place = keys[several].groupby(list(KEY), sort=False, observed=True).ngroup().to_numpy()
    some = some.assign(place=place, unflagged=some["flags"] == "", index=np.flatnonzero(several))
    order = ["unflagged", "episode", *LABELS, "recipe", *OUTCOME, "flags"]
    kept = some.sort_values(order).drop_duplicates("place")["index"].to_numpy()
    outcomes = some.drop_duplicates(["place", *OUTCOME])
    disagreeing = int((outcomes.groupby("place").size() > 1).sum())
    stays = ~several
    stays[kept] = True
    return rows[stays].reset_index(drop=True), Repeats(rows=int((~stays).sum()), disagreeing=disagreeing)


def _policies(rows: pd.DataFrame) -> pd.Series:
    """The checkpoint of every row, or its labels where nobody knows the file."""
    unknown = (rows["checkpoint"] == "").to_numpy(bool)
    if not unknown.any():
        return rows["checkpoint"]
    labels = rows.loc[unknown, list(LABELS)].astype(object)
    names = rows["checkpoint"].astype(object).to_numpy(copy=True)
    names[unknown] = ["\t".join("" if pd.isna(one) else str(one) for one in row) for row in labels.to_numpy()]
    return pd.Series(names, index=rows.index)


def _marked(texts: pd.Series, asked: Callable[[str], bool]) -> Marks:
    """Which texts are so; each distinct one is asked once."""
    if isinstance(texts.dtype, pd.CategoricalDtype):
        return np.array([asked(text) for text in texts.cat.categories], bool)[texts.cat.codes]
    return np.asarray(texts.map({text: asked(text) for text in texts.unique()}), bool)


def _kept(texts: pd.Series, there: Marks) -> pd.Series:
    """The texts, empty where this is not marked."""
    if not isinstance(texts.dtype, pd.CategoricalDtype):
        return texts.where(there, "")
    if "" not in texts.cat.categories:
        texts = texts.cat.add_categories("")
    return texts.where(there, "").cat.set_categories(sorted({*texts[there].unique(), ""}))
