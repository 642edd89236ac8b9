"""Stages of an evaluation: the rows of one stage may decide the episodes of the next."""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from microbench.evaluation.plan import Episode
from microbench.studies.rows import past_runs
from reports.files import alone, replace
from reports.rows.results import RESULTS, as_json


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Episodes that can run together, and metadata for results.json, written before their first row.

    `later` counts the episodes of stages to come, for the estimate of the time that is left. `table` is the file beside
    results.json that gets the rows: those that only choose what is measured later are no results.
    """

    episodes: list[Episode]
    title: str = "episodes"
    later: int = 0
    table: str = RESULTS
    metadata: Mapping[str, Any] = field(default_factory=dict)


Stages = Generator[Stage, pd.DataFrame, dict[str, Any]]
"""A generator that yields stages, receives the rows of each in order, and returns the final metadata."""


def at_once(episodes: list[Episode]) -> Stages:
    """All episodes in one stage."""
    yield Stage(episodes=episodes)
    return {}


class Record:
    """The entry of one command in results.json, which keeps the entries of earlier commands."""

    def __init__(self, results: Path) -> None:
        self._results, self._told = results, None

    def tell(self, run: Mapping[str, Any]) -> None:
        """Replace the entry of this command, or add it.

        Raises:
            ValueError: results.json is damaged.
            OSError: results.json cannot be written.
        """
        with alone(self._results.parent):
            runs = [earlier for earlier in past_runs(self._results) if earlier != self._told]
            replace(self._results.with_suffix(".json"), as_json({"runs": [*runs, run]}, self._results))
        self._told = json.loads(json.dumps(dict(run), default=str))
