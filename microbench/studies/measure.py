"""Run the stages of an evaluation: metadata goes to results.json before the first row, rows to results.csv."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from microbench.checkpoints import Checkpoint
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.named_files import with_files
from microbench.evaluation.plan import Episode
from microbench.evaluation.workers import evaluate_episodes
from microbench.progress import Estimate, say, track
from microbench.studies.rows import identify, measured_before, missing_episodes, past_runs, planned_rows
from microbench.studies.stages import Record, Stage, Stages
from microbench.studies.worst import is_current
from reports.rows.results import read
from reports.rows.writer import Writer, remove
from reports.study.worst import WORST


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """The settings of a measurement: the policy, its conditions, the table, workers, and whether it resumes."""

    checkpoint: Checkpoint
    conditions: Conditions
    results: Path
    workers: int | None
    ray: str | None
    resume: bool
    quiet: bool


def measure(stages: Stages, how: Measuring, about: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Run all stages; return the keys of their rows in results.csv, in order, and the stages' metadata.

    results.json records `about`, the metadata and the wall time in seconds. Its entry is marked `unfinished` while a
    stage with metadata runs, and earlier rows of that stage are removed before.

    Rows of a stage with a table of its own are no results, and only decide what comes next.

    Raises:
        ValueError: as `evaluate_episodes`, or files of an earlier evaluation that are damaged.
        OSError: a file cannot be written.
    """
    began, record = time.monotonic(), Record(how.results)
    keys: list[pd.DataFrame] = []
    rows: pd.DataFrame | None = None
    while True:
        try:
            stage = next(stages) if rows is None else stages.send(rows)
        except StopIteration as ended:
            record.tell({**about, **ended.value, "seconds": _since(began)})
            return pd.concat(keys, ignore_index=True), ended.value
        stage = _with_files(stage)
        there = replace(how, results=how.results.with_name(stage.table))
        own = identify(how.checkpoint, how.conditions, stage.episodes)
        keys += [own] if there.results == how.results else []
        left = _left(stage, there, own)  # in any case: damage is told before the work
        if rows is None and (before := measured_before(there.results, own)):
            say(f"{before}; they are {'kept' if how.resume else 'measured again'}.", quiet=how.quiet)
        if stage.metadata:  # from here on rows of these names are those of what is told
            remove(identify(how.checkpoint, how.conditions, left), there.results)
        if stage.metadata or "scale" in about:  # a unit that was measured is recorded before the first row in it
            record.tell({**about, **stage.metadata, "seconds": _since(began), "unfinished": True})
        _run(replace(stage, episodes=left), there)
        rows = planned_rows(read(there.results), own)


def _with_files(stage: Stage) -> Stage:
    """The stage with the hashes of the files that its cells name, computed here because a worker may lack them."""
    cells = {cell: with_files(cell) for cell in {episode.cell for episode in stage.episodes}}
    return replace(stage, episodes=[replace(episode, cell=cells[episode.cell]) for episode in stage.episodes])


def _left(stage: Stage, how: Measuring, keys: pd.DataFrame) -> list[Episode]:
    """The episodes to run: all, or with `resume` those that results.csv lacks."""
    past = past_runs(how.results)
    missing = missing_episodes(how.results, keys, stage.episodes)
    if not how.resume:
        return stage.episodes
    doubtful = {(one["eps"], one["perturbation"], one["factor"]) for one in _not_current(stage, past)}
    gone = set(missing)
    return [
        episode
        for episode in stage.episodes
        if episode in gone
        or (episode.cell.alias and (episode.cell.eps, episode.cell.perturbation, episode.cell.factor) in doubtful)
    ]


def _not_current(stage: Stage, past: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    """The choices of the stage that differ from those of the newest earlier run, whose rows are of other attacks."""
    return [one for one in stage.metadata.get(WORST, ()) if not is_current(one, past)]


def _run(stage: Stage, how: Measuring) -> None:
    estimate = Estimate(Counter(episode.cell.shown for episode in stage.episodes), later=stage.later)
    with track(stage.title, len(stage.episodes), quiet=how.quiet) as tracker, Writer(how.results) as writer:

        def listen(running: Sequence[str]) -> None:
            tracker.advance_to(estimate.done, f"({', '.join(running)})" if running else "", estimate.seconds())

        finished = evaluate_episodes(how.checkpoint, how.conditions, stage.episodes, how.workers, how.ray, listen)
        with closing(finished):
            for done in finished:
                writer.put(done.rows)
                estimate.finished(done.rows["attack"].iloc[0], len(done.rows), done.seconds, done.workers)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
