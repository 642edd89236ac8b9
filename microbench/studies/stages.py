"""Evaluations in stages: which episodes come next may depend on the rows of those before."""

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
    """Episodes that can be run together, and what the JSON beside the results says before their first row is there.

    `later` counts the episodes of stages to come, for the estimate of the time that is left. `table` is the file beside
    results.json that gets the rows: those that only choose what is measured later are no results.
    """

    episodes: list[Episode]
    title: str = "episodes"
    later: int = 0
    table: str = RESULTS
    told: Mapping[str, Any] = field(default_factory=dict)


Stages = Generator[Stage, pd.DataFrame, dict[str, Any]]
"""Yields stages, is sent the rows of each in order, and returns what the JSON beside the results says in the end."""


def at_once(episodes: list[Episode]) -> Stages:
    """All episodes in one stage."""
    yield Stage(episodes=episodes)
    return {}


class Record:
    """What results.json says of one command: an entry that grows, beside those of earlier commands."""

    def __init__(self, results: Path) -> None:
        self._results, self._told = results, None

    def tell(self, run: Mapping[str, Any]) -> None:
        """Replace the entry of this command, or make it.

        Raises:
            ValueError: the file is damaged.
            OSError: it cannot be written.
        """
        with alone(self._results.parent):
            runs = [earlier for earlier in past_runs(self._results) if earlier != self._told]
            replace(self._results.with_suffix(".json"), as_json({"runs": [*runs, run]}, self._results))
        self._told = json.loads(json.dumps(dict(run), default=str))
