"""An update captured once and then launched as a whole, because on a GPU launching kernels takes longer than they run.

A capture repeats the same kernels on the same memory with the same host numbers. So an update must not depend on the
host, and is captured again when a tensor that it reads has been replaced (microbench.learning.train.one_epoch).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from microbench.errors import UserError

Step = Callable[[], Tensor]  # makes one update and returns its metrics
Launch = Callable[[Step], Step]  # wraps a step; valid until a tensor that the step reads is replaced
_CHECKED = 2  # updates that check the first capture: a host number frozen by it is wrong from the second on
_WARM_UP = 3  # updates before the first capture: optimisers allocate their states, libraries their workspaces
_SHARE = 1e-2  # largest relative error allowed in a captured update (its kernels may round differently)
_ROUNDING = 1e-6  # relative to the tensors: their rounding limits how exactly a small change is known


class Graphs(Protocol):
    """A mechanism that captures steps, as CUDA graphs do."""

    def run(self, step: Step) -> Tensor:
        """Run the step without a capture, on the stream where it will be captured."""
        ...

    def capture(self, step: Step) -> Step:
        """A step that repeats the captured kernels, random draws included; capturing alone changes no tensor.

        Raises:
            RuntimeError: the step cannot be captured.

        """
        ...


MakeGraphs = Callable[[Sequence[torch.Generator]], Graphs]  # for steps that draw from these generators


class Learner(Protocol):
    """An object with updates to capture: an agent, or a cohort of agents."""

    @property
    def generators(self) -> Sequence[torch.Generator]:
        """The generators of all random numbers in its updates."""
        ...

    def changing(self) -> Sequence[Tensor]:
        """All tensors that an update changes, detached but on the same memory; complete after the first update."""
        ...


def as_it_is(step: Step) -> Step:
    """The step itself, without a capture."""
    return step


def launching(learner: Learner, graphs: MakeGraphs | None) -> Launch:
    """The way to launch this learner's updates: captured by `graphs`, or without `graphs` as they are."""
    return as_it_is if graphs is None else Captured(learner, graphs(learner.generators))


class Captured:
    """Launches a learner's steps by captures; the first capture is checked against the step itself.

    Raises:
        UserError: a step cannot be captured, or its capture has another result.

    """

    def __init__(self, learner: Learner, graphs: Graphs) -> None:
        self._learner, self._graphs = learner, graphs
        self._warm, self._checked = 0, False

    def __call__(self, step: Step) -> Step:
        """A step that makes the learner's first updates as they are and later ones by a capture of `step`."""
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
        """Make the same updates with and without the capture, compare them, and restore the learner."""
        changing, generators = self._learner.changing(), self._learner.generators
        before, drawn_before = _copies(changing), [generator.get_state() for generator in generators]
        ends = []
        for way in (partial(self._graphs.run, step), repeat):
            metrics = torch.stack([way().clone() for _ in range(_CHECKED)])
            ends.append(([metrics, *_copies(changing)], [generator.get_state() for generator in generators]))
            for tensor, value in zip(changing, before, strict=True):
                tensor.copy_(value)
            for generator, state in zip(generators, drawn_before, strict=True):
                generator.set_state(state)
        (wanted, drawn), (reached, drawn_again) = ends
        start = [torch.zeros_like(wanted[0]), *before]
        if not all(map(torch.equal, drawn, drawn_again)) or not all(map(_close, reached, wanted, start)):
            raise UserError("a captured update differs from the update itself; train with --no-graph, and report it.")


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors]


def _close(reached: Tensor, wanted: Tensor, before: Tensor) -> bool:
    """Whether a tensor that started at `before` is close enough to `wanted`; True if `wanted` has diverged."""
    off, change, size = (torch.linalg.vector_norm(of) for of in (reached - wanted, wanted - before, wanted))
    return not bool(size.isfinite()) or bool(off <= _SHARE * change + _ROUNDING * size)
