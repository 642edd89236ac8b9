"""Packed tables, which store every distinct text once: large tables have few distinct texts.

A packed table is a checked one whose text columns are categories in alphabetical order. Public functions return plain
text columns (`unpacked`), in which equal texts are one object.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import union_categoricals

from reports.rows.schema import SCHEMA

Marks = npt.NDArray[np.bool_]

TEXTS = tuple(name for name, dtype in SCHEMA.items() if dtype == "str")


def packed(checked: pd.DataFrame) -> pd.DataFrame:
    """The checked table with its text columns as categories."""
    return checked.astype(dict.fromkeys(TEXTS, "category"))


def unpacked(table: pd.DataFrame) -> pd.DataFrame:
    """The packed table with plain text columns, as `check` returns it."""
    return table.assign(**{name: _texts(table[name]) for name in TEXTS})


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The concatenation of packed tables; repeated episodes are not removed."""
    if len(tables) == 1:
        return tables[0]
    numbers = pd.concat([table.drop(columns=list(TEXTS)) for table in tables], ignore_index=True)
    texts = {name: union_categoricals([table[name] for table in tables], sort_categories=True) for name in TEXTS}
    return numbers.assign(**texts)[list(SCHEMA)]


def contains(column: pd.Series, part: str) -> Marks:
    """Whether the text of each row of a packed column contains this part, (N,)."""
    return np.array([part in text for text in column.cat.categories], bool)[column.cat.codes]


def _texts(column: pd.Series) -> pd.Series:
    texts = pd.Series(column.cat.categories.to_list(), dtype="str")
    return texts.take(column.cat.codes.to_numpy()).reset_index(drop=True)
