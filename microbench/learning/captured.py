"""An update captured once and then launched as a whole: on a GPU launching its kernels takes longer than running them.

A capture repeats the same kernels on the same memory with the same numbers. An update may therefore ask nothing of the
host, and is captured anew whenever something that it reads has been replaced (microbench.learning.train.one_epoch).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from microbench.errors import UserError

Step = Callable[[], Tensor]  # makes one update; returns what there is to tell of it
Launch = Callable[[Step], Step]  # a way to make a step's updates, for as long as nothing that it reads is replaced
_CHECKED = 2  # updates that a first capture repeats: a number that was baked in is an old one by the second
_WARM_UP = 3  # updates before the first capture: optimisers make their states, libraries their workspaces
_SHARE = 1e-2  # of what an update changes: by so much a capture may be off, whose products may round otherwise
_ROUNDING = 1e-6  # relative to the numbers themselves, which limit what a small change can be known to


class Graphs(Protocol):
    """Where steps are captured."""

    def run(self, step: Step) -> Tensor:
        """The step as it is, in the place where it will be captured."""
        ...

    def capture(self, step: Step) -> Step:
        """What repeats the step's kernels, draws included; nothing is changed before it is called.

        Raises:
            RuntimeError: the step cannot be captured.

        """
        ...


MakeGraphs = Callable[[Sequence[torch.Generator]], Graphs]  # for steps that draw from these generators


class Learner(Protocol):
    """Whose updates are captured."""

    @property
    def generators(self) -> Sequence[torch.Generator]:
        """All that its updates draw from."""
        ...

    def changing(self) -> Sequence[Tensor]:
        """All tensors that an update changes, detached but on the same memory; complete after the first update."""
        ...


def as_it_is(step: Step) -> Step:
    """No capture."""
    return step


def launching(learner: Learner, graphs: MakeGraphs | None) -> Launch:
    """How this learner's updates are launched; without `graphs` as they are."""
    return as_it_is if graphs is None else Captured(learner, graphs(learner.generators))


class Captured:
    """Launches a learner's steps by captures, the first of which has to show that it does what the step does.

    Raises:
        UserError: a step cannot be captured, or its capture does something else.

    """

    def __init__(self, learner: Learner, graphs: Graphs) -> None:
        self._learner, self._graphs = learner, graphs
        self._warm, self._checked = 0, False

    def __call__(self, step: Step) -> Step:
        """What makes the step's updates: the first ones of a learner as they are, then by a capture of this step."""
        repeat: Step | None = None

        def run() -> Tensor:
            nonlocal repeat
            if self._warm < _WARM_UP:
                self._warm += 1
                return self._graphs.run(step)
            if repeat is None:
                repeat = self._capture(step)
            return repeat()

        return run

    def _capture(self, step: Step) -> Step:
        try:
            repeat = self._graphs.capture(step)
        except RuntimeError as error:
            reason = f"{error}".splitlines()[0]
            raise UserError(f"an update cannot be captured here ({reason}); train with --no-graph.") from error
        if not self._checked:
            self._check(step, repeat)
            self._checked = True
        return repeat

    def _check(self, step: Step, repeat: Step) -> None:
        """Make the same updates both ways from where the learner is, and leave the learner there."""
        changing, generators = self._learner.changing(), self._learner.generators
        before, drawn_before = _copies(changing), [generator.get_state() for generator in generators]
        ends = []
        for way in (partial(self._graphs.run, step), repeat):
            told = torch.stack([way().clone() for _ in range(_CHECKED)])
            ends.append(([told, *_copies(changing)], [generator.get_state() for generator in generators]))
            for tensor, value in zip(changing, before, strict=True):
                tensor.copy_(value)
            for generator, state in zip(generators, drawn_before, strict=True):
                generator.set_state(state)
        (wanted, drawn), (found, drawn_again) = ends
        start = [torch.zeros_like(wanted[0]), *before]
        if not all(map(torch.equal, drawn, drawn_again)) or not all(map(_close, found, wanted, start)):
            raise UserError("a captured update differs from the update itself; train with --no-graph, and report it.")


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors]


def _close(found: Tensor, wanted: Tensor, before: Tensor) -> bool:
    """Whether a tensor went from `before` to where it was wanted; what has diverged is not compared."""
    off, change, size = (torch.linalg.vector_norm(of) for of in (found - wanted, wanted - before, wanted))
    return not bool(size.isfinite()) or bool(off <= _SHARE * change + _ROUNDING * size)
