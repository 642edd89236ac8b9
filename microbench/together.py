"""Runs of several seeds that train in one program; each is stored, evaluated and named as if it were alone."""

from collections.abc import Iterator, Sequence

import torch

from microbench.agent import METRICS
from microbench.cohort import Cohort
from microbench.train import Evaluate, Listener, Training, tell


def train_together(runs: Sequence[Training], evaluate: Evaluate, listeners: Sequence[Listener]) -> Iterator[Training]:
    """Train runs that differ in their seeds only, or a single one; yields a run whenever it may be stored.

    Every dynamics ensemble is fitted on its own, because fits end when they have converged. Then all runs make the same
    update at the same time (microbench.cohort). After an interruption, runs that were stored an epoch earlier than
    others catch up first. Every run has a listener; updates, which are made together, are told to the first one's.

    Raises:
        UserError: a dynamics fit or an update diverged.

    """
    if len(runs) == 1:
        for _ in runs[0].run(evaluate, listeners[0]):
            yield runs[0]
        return
    for run, listen in zip(runs, listeners, strict=True):
        for _ in run.fit_dynamics(listen):
            yield run
    cohort = None
    while unfinished := [run for run in runs if not run.over]:
        epoch = min(run.epoch for run in unfinished)
        group = [run for run in unfinished if run.epoch == epoch]
        heard = [listen for run, listen in zip(runs, listeners, strict=True) if run in group]
        agents = tuple(run.agent for run in group)
        if cohort is None or cohort.agents != agents:
            cohort = Cohort(agents)
        totals = _train_epoch(group, cohort, listeners[0])
        for run, total, listen in zip(group, totals, heard, strict=True):
            run.end_epoch(total, evaluate, listen)
            yield run


def _train_epoch(group: Sequence[Training], cohort: Cohort, listen: Listener) -> torch.Tensor:
    """One epoch of every run; METRICS of all updates added up, (S, 6)."""
    totals = torch.zeros(len(group), len(METRICS), device=group[0].device)
    values = [run.member_values for run in group]
    for updates in zip(*(run.updates() for run in group), strict=True):
        batches = [run.batch(update) for run, update in zip(group, updates, strict=True)]
        totals += cohort.update(batches, values)
        tell(listen, updates[0])
    return totals
