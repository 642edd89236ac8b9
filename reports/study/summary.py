"""The summary of episodes: every number of tables and figures in full precision.

A *policy* (a column of tables) is an algorithm on a dataset and task, with its training runs pooled. A *condition* (a
row) is an attack with eps and a perturbation with factor and nominal factor. A *cell* is one policy under one
condition. All cells are summarized in vectorized form, so a million episodes take no loop over conditions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd

from reports.rows.identity import Repeats, once
from reports.rows.packing import TEXTS, packed
from reports.rows.results import load_packed
from reports.rows.schema import SCHEMA, check
from reports.statistics.means import Floats, Integers, mean_intervals
from reports.statistics.of_cells import statistics_of
from reports.study.excerpt import excerpt
from reports.study.grids import descriptions
from reports.study.parts import described
from reports.study.preparing import BLOCKS, CELL, CONDITION, PAIR, heads_of, prepared
from reports.study.provenance import runs_of
from reports.study.runs import shared_runs
from reports.study.scales import Anchors, contradictions
from reports.study.worst import chosen

__all__ = ["BLOCKS", "CELL", "CONDITION", "PAIR", "Results", "Study", "load_study", "prepare", "study_of", "summarize"]

Derived = TypeVar("Derived")


@dataclass(frozen=True, eq=False)
class Study:
    """A results table that is checked, prepared and summarized at most once.

    Attributes:
        frame: the table of episodes.
        is_checked: whether the table is already checked and packed (see `load_study`).
        about: the content of the JSON beside the results.
        anchors: task → returns of a random and of an expert policy.
        left_out: a sentence about omitted conditions if the table is an excerpt; else empty.
    """

    frame: pd.DataFrame
    is_checked: bool = False
    about: Mapping[str, object] | None = None
    anchors: Anchors | None = None
    left_out: str = ""

    @cached_property
    def checked(self) -> pd.DataFrame:
        """The table as `check` returns it, packed; raises ValueError as `check` does."""
        return self.frame if self.is_checked else packed(check(self.frame))

    @cached_property
    def _unique(self) -> tuple[pd.DataFrame, Repeats]:
        return once(self.checked)

    @property
    def repeats(self) -> Repeats:
        """Counts of rows left out as repeats of other rows; raises ValueError as `check` does."""
        return self._unique[1]

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """The prepared episodes; see `prepare`."""
        return prepared(self._unique[0])

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The summary; see `summarize`."""
        summary, runs = _summarized(self.episodes), runs_of(self.about)
        described_parts = descriptions(summary, described(runs))
        return summary.assign(chosen=chosen(self.episodes, len(summary), runs), **described_parts)

    @cached_property
    def shown(self) -> Study:
        """The study of tables, notes and figures: this one, or an excerpt if it is too large to be read."""
        if self.left_out:
            return self
        cells, left_out = excerpt(self.summary)
        if not left_out:
            return self
        rows = self.episodes.loc[self.episodes["cell"].isin(cells).to_numpy(), list(SCHEMA)].reset_index(drop=True)
        for name in TEXTS:
            rows[name] = rows[name].cat.remove_unused_categories()
        return replace(self, frame=rows, is_checked=True, left_out=left_out)

    @cached_property
    def comparable(self) -> Study:
        """The study in one metric, for a common axis: raw returns for all policies if one has no scores."""
        alike = self.episodes["metric"].nunique() == 1
        return (
            self
            if alike
            else Study(self.checked.assign(score=np.nan), is_checked=True, about=self.about, left_out=self.left_out)
        )

    @cached_property
    def _derived(self) -> dict[Callable[[Study], object], object]:
        return {}

    def once(self, make: Callable[[Study], Derived]) -> Derived:
        """The result of `make` for this study, computed on the first call and cached."""
        if make not in self._derived:
            self._derived[make] = make(self)
        return cast(Derived, self._derived[make])


Results: TypeAlias = pd.DataFrame | Study
"""A results table, or its Study."""


def study_of(results: Results, about: Mapping[str, object] | None = None) -> Study:
    """A Study of the table with its sidecar metadata. A Study that already has metadata is returned unchanged."""
    if not isinstance(results, Study):
        return Study(results, about=about)
    return results if results.about or not about else replace(results, about=about)


def load_study(
    paths: Iterable[Path | str], about: Mapping[str, object] | None = None, anchors: Anchors | None = None
) -> Study:
    """The Study of several results files; every function of `reports` accepts it instead of a table.

    Rows are checked once while they are read, and stay packed. Scores must follow from returns by some anchors.

    Args:
        paths: results files.
        about: the merged JSON of these files (`provenance.read_sidecars`).
        anchors: task → returns of a random and of an expert policy.

    Raises:
        ValueError: as `load_many`, or scores on a scale other than 0 (random) to 100 (expert).
    """
    study = Study(load_packed(paths), is_checked=True, about=about, anchors=anchors)
    for one in contradictions(study.checked, anchors):
        if one.is_certain:
            raise ValueError(f"{one.sentence}.")
    return study


def prepare(results: Results) -> pd.DataFrame:
    """The checked episodes in a fixed order, with columns policy, metric, block, value, cell, start and clean.

    `value` is the normalized score, or the raw return if the policy has an episode with a return but no score (`metric`
    names the measure). Every episode counts once, and units that measure nothing are empty (`reports.rows.identity`).
    `cell` is the row of `summarize`. Episodes with one `start` have the same policy and start state, and `clean` is the
    value of the clean one. The result does not depend on the order of rows.

    Raises:
        ValueError: as `check`, or there are no rows.
    """
    return study_of(results).episodes


def summarize(results: Results) -> pd.DataFrame:
    """One row per policy and condition, clean first, every number in full precision.

    Columns:
        policy, metric and the condition.
        n (episodes), left_out (episodes without a value) and seeds (training runs).
        mean with low and high (95 %, `mean_interval`), std, median, iqm, cvar (worst 10 %).
        optimality_gap, of scores only.
        change from clean with low, high and percent, over `paired` episodes.
        flags with counts.
        chosen: the attack behind `worst` if the JSON beside the results names it; else empty.
        common_seeds, clean_seeds and aligned: see `shared_runs`.
        nominals and measured_in: nominal factor and unit of every part of the perturbation, joined by `;`.
    """
    return study_of(results).summary


def _summarized(episodes: pd.DataFrame) -> pd.DataFrame:
    cell = episodes["cell"].to_numpy()
    cells = int(cell[-1]) + 1
    value, clean = (episodes[name].to_numpy(np.float64) for name in ("value", "clean"))
    run = pd.factorize(episodes["train_seed"], use_na_sentinel=False)[0].astype(np.int64)
    first = np.searchsorted(cell, np.arange(cells))
    heads = heads_of(episodes, first)
    present = np.isfinite(value)
    n = np.bincount(cell, minlength=cells)
    seeds = np.bincount(np.unique(cell * (run.max() + 1) + run) // (run.max() + 1), minlength=cells)
    counts = {"n": n, "left_out": n - np.bincount(cell[present], minlength=cells), "seeds": seeds}
    mean, low, high = mean_intervals(value[present], cell[present], run[present], cells)
    numbers = {"mean": mean, "low": low, "high": high} | statistics_of(
        value[present], cell[present], run[present], cells
    )
    numbers["optimality_gap"] = np.where(heads["metric"] == "score", numbers["optimality_gap"], np.nan)
    paired = present & np.isfinite(clean) & (episodes["block"] != "clean").to_numpy()
    change = _change(value[paired], clean[paired], cell[paired], run[paired], cells)
    runs = shared_runs(value[present], cell[present], run[present], heads)
    runs["aligned"] = np.where(runs["common_seeds"] == 0, mean, runs["aligned"])
    return heads.assign(**counts, **numbers, **change, flags=_flags(episodes, cells), **runs)


def _change(value: Floats, clean: Floats, cell: Integers, run: Integers, cells: int) -> dict[str, Floats | Integers]:
    """The paired change from clean in points and percent, (C,) each; percent is NaN without a positive clean mean."""
    paired = np.bincount(cell, minlength=cells)
    change, low, high = mean_intervals(value - clean, cell, run, cells)
    before = mean_intervals(clean, cell, run, cells)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        percent = np.where(before > 0, 100 * change / before, np.nan)
    return {"paired": paired, "change": change, "change_low": low, "change_high": high, "change_percent": percent}


def _flags(episodes: pd.DataFrame, cells: int) -> list[str]:
    """The flags of every cell with their numbers of episodes, for example `zero-gradient (3)`."""
    flagged = episodes.loc[episodes["flags"] != "", ["cell", "flags"]].astype({"flags": object})
    counts = [Counter[str]() for _ in range(cells)]
    for cell, flags, count in flagged.value_counts().reset_index().itertuples(index=False):
        counts[cell].update({name: count for name in flags.split(";") if name})
    return [", ".join(f"{name} ({count})" for name, count in sorted(one.items())) for one in counts]
