"""Identity of an episode: rows with the same key are the same episode.

The key holds everything that determines the episode: policy file, task, seed, attack with the content of its files,
budget, and perturbation. The episode's number in its command and the policy's labels are no part of it. A unit counts
only if a quantity of the row is measured in it, a norm only if there is an attack.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.rows.schema import KEY, OUTCOME

LABELS = ("algorithm", "dataset", "train_seed")
"""Labels of a policy. They identify it only if its file is unknown."""

IN_UNIT = ("sensor-bias", "sensor-noise")
"""Perturbations whose factors are measured in the unit of the row."""

Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Counts of repeated rows that were left out, and of episodes whose rows disagree."""

    rows: int = 0
    disagreeing: int = 0


def keys_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns `KEY` of every row; two rows have equal keys if and only if they are the same episode.

    Texts may be packed. The function is idempotent. A row without a checkpoint has the policy's labels instead.
    """
    return measured(rows).assign(checkpoint=_policies(rows))[list(KEY)]


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with empty units and norms where they measure nothing."""
    attacked = (rows["attack"] != "none").to_numpy(bool)
    unit = attacked | _marked(rows["perturbation"], in_unit)
    return rows.assign(unit=_kept(rows["unit"], unit), norm=_kept(rows["norm"], attacked))


def in_unit(perturbation: str) -> bool:
    """Whether a part of this perturbation is measured in the unit of the row, judged by its name.

    This is unknown for `module:name`, so its unit counts.
    """
    names = (part.partition("=")[0].partition("@")[0] for part in perturbation.split(","))
    return any(name in IN_UNIT or (":" in name and not name.startswith("compat:")) for name in names)


def once(rows: pd.DataFrame) -> tuple[pd.DataFrame, Repeats]:
    """The rows with every episode once, in their order, and counts of the rows left out.

    The row that stays does not depend on the order of rows: flagged rows come first, then the lowest episode number.
    Rows disagree if return, length or score differ.
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
    """The checkpoint of every row, or its labels if the file is unknown."""
    unknown = (rows["checkpoint"] == "").to_numpy(bool)
    if not unknown.any():
        return rows["checkpoint"]
    labels = rows.loc[unknown, list(LABELS)].astype(object)
    names = rows["checkpoint"].astype(object).to_numpy(copy=True)
    names[unknown] = ["\t".join("" if pd.isna(one) else str(one) for one in row) for row in labels.to_numpy()]
    return pd.Series(names, index=rows.index)


def _marked(texts: pd.Series, is_marked: Callable[[str], bool]) -> Marks:
    """Whether `is_marked` holds for each text; it is called once per distinct text."""
    if isinstance(texts.dtype, pd.CategoricalDtype):
        return np.array([is_marked(text) for text in texts.cat.categories], bool)[texts.cat.codes]
    return np.asarray(texts.map({text: is_marked(text) for text in texts.unique()}), bool)


def _kept(texts: pd.Series, there: Marks) -> pd.Series:
    """The texts, empty where `there` is False."""
    if not isinstance(texts.dtype, pd.CategoricalDtype):
        return texts.where(there, "")
    if "" not in texts.cat.categories:
        texts = texts.cat.add_categories("")
    return texts.where(there, "").cat.set_categories(sorted({*texts[there].unique(), ""}))
