"""Training of several seeds in one program; each run is stored, evaluated and named as if it were alone."""

from collections.abc import Iterator, Sequence
from functools import partial

from torch import Tensor

from microbench.learning.captured import MakeGraphs, launching
from microbench.learning.cohort import Cohort
from microbench.learning.train import Evaluate, Listener, Training, one_epoch


def train_together(
    runs: Sequence[Training], evaluate: Evaluate, listeners: Sequence[Listener], graphs: MakeGraphs | None = None
) -> Iterator[Training]:
    """Train a single run, or several that differ in their seeds only; yields a run whenever it may be stored.

    Every dynamics ensemble is fitted separately, because fits converge after different numbers of epochs. Then all runs
    make the same update at the same time (microbench.learning.cohort). After an interruption, runs that were stored an
    epoch earlier than others catch up first. Every run has a listener, but the progress of common updates goes to the
    first one alone. With `graphs`, updates are captured.

    Raises:
        UserError: a dynamics fit or an update diverges, or an update cannot be captured.

    """
    if len(runs) == 1:
        for _ in runs[0].run(evaluate, listeners[0], graphs):
            yield runs[0]
        return
    for run, listen in zip(runs, listeners, strict=True):
        for _ in run.fit_dynamics(listen):
            yield run
    cohort = None
    while unfinished := [run for run in runs if not run.over]:
        epoch = min(run.epoch for run in unfinished)
        group = [run for run in unfinished if run.epoch == epoch]
        group_listeners = [listen for run, listen in zip(runs, listeners, strict=True) if run in group]
        agents = tuple(run.agent for run in group)
        if cohort is None or cohort.agents != agents:
            cohort = Cohort(agents)
            launch = launching(cohort, graphs)
        totals = one_epoch(group, partial(update_together, cohort, group), launch, listeners[0])
        for run, total, listen in zip(group, totals, group_listeners, strict=True):
            run.end_epoch(total, evaluate, listen)
            yield run


def update_together(cohort: Cohort, group: Sequence[Training]) -> Tensor:
    """Make one update of every run, each from its own batch; returns METRICS as (S, 6)."""
    return cohort.update([run.batch() for run in group], [run.member_values for run in group])
