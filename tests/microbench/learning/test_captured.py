"""Updates that are captured once and repeated: what a CUDA graph does is done here, operation by operation, on the CPU.

A recording repeats the operations of one run on the very same memory, and none of the Python around them. So whatever
an update would take from the host, or from memory that is replaced later, comes out wrong here as on a GPU.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Adam
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from microbench.errors import UserError
from microbench.learning.agent import Agent
from microbench.learning.captured import Captured, Step, as_it_is, launching
from microbench.learning.cohort import Cohort
from microbench.learning.together import train_together
from microbench.learning.train import Training, one_epoch
from tests.microbench.toys import one_line
from tests.microbench.training_runs import finish, ignore, make, numbers, same, score

OPTIONS: dict[str, dict[str, Any]] = {
    "paper": {"alpha": 0.1},
    "paired": {"alpha": 0.1, "gap_estimator": "paired", "samples": 1},
    "half": {"alpha": 0.1, "gap_precision": "bfloat16"},
    "max-q": {"alpha": 0.1, "max_q_backup": True, "clamp_target": False},
    "deterministic": {"alpha": 0.1, "deterministic_backup": True},
    "no model rows": {"alpha": 0.1, "real_ratio": 1.0},
    "sac": {"alpha": 0.1, "algorithm": "sac"},
    "tuned": {"alpha_lr": 0.01},
}


class _Log(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no annotations here
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out


class Recordings:
    """Graphs of the CPU: `capture` runs a step, notes its operations, and undoes what it has changed."""

    def __init__(self, learner: Agent | Cohort) -> None:
        self.learner, self.captured = learner, 0

    def run(self, step: Step) -> Tensor:
        return step()

    def capture(self, step: Step) -> Step:
        self.captured += 1
        changing, generators = self.learner.changing(), self.learner.generators
        before = [tensor.clone() for tensor in changing], [generator.get_state() for generator in generators]
        with _Log() as log:
            out = step()
        for tensor, value in zip(changing, before[0], strict=True):
            tensor.copy_(value)
        for generator, state in zip(generators, before[1], strict=True):
            generator.set_state(state)
        return lambda: _repeat(log, out)


@torch.no_grad()
def _repeat(log: _Log, out: Tensor) -> Tensor:
    for func, args, kwargs, result in log.calls:
        again = func(*args, **kwargs)
        for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
            if isinstance(old, Tensor) and old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                old.copy_(new)  # into the memory that the following operations read
    return out


def recorded(
    learner: Agent | Cohort, recordings: list[Recordings]
) -> Callable[[Sequence[torch.Generator]], Recordings]:
    def graphs(generators: Sequence[torch.Generator]) -> Recordings:
        recordings.append(Recordings(learner))
        assert list(generators) == list(learner.generators)
        return recordings[-1]

    return graphs


def counting_on_the_device(training: Training) -> Training:
    """With an optimiser of the temperature that counts its steps in a tensor, as it does on a GPU."""
    agent = training.agent
    agent.alpha_optimiser = Adam([agent.log_alpha], lr=agent.config.alpha_lr, fused=True)
    return training


@pytest.mark.parametrize("option", OPTIONS)
def test_a_run_of_repeated_captures_is_the_run_itself_to_the_bit(option: str) -> None:
    """Across rollouts, which replace what is drawn from, and across epochs, which change the learning rate."""
    plain, repeated = (counting_on_the_device(make(**OPTIONS[option])) for _ in range(2))
    finish(plain)
    recordings: list[Recordings] = []
    for _ in repeated.run(score, ignore, recorded(repeated.agent, recordings)):
        pass
    assert same(plain, repeated)
    assert [graphs.captured for graphs in recordings] == [6]  # three epochs with a rollout at their start and half way


def test_seeds_together_are_repeated_to_the_bit() -> None:
    plain, repeated = ([counting_on_the_device(make(seed=seed)) for seed in (0, 1)] for _ in range(2))
    for _ in train_together(plain, score, [ignore] * 2):
        pass
    recordings: list[Recordings] = []
    agents = [run.agent for run in repeated]

    def graphs(generators: Sequence[torch.Generator]) -> Recordings:
        recordings.append(Recordings(cohorts[-1]))
        assert list(generators) == [agent.generator for agent in agents]
        return recordings[-1]

    cohorts: list[Cohort] = []
    start = Cohort.__init__

    def noted(self: Cohort, of: Sequence[Agent]) -> None:
        cohorts.append(self)
        start(self, of)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cohort, "__init__", noted)
        for _ in train_together(repeated, score, [ignore] * 2, graphs):
            pass
    assert recordings[0].captured == 6
    assert all(same(one, other) for one, other in zip(plain, repeated, strict=True))


def ready(**changes: Any) -> Training:
    """A run whose first epoch is trained."""
    training = counting_on_the_device(make(**{"alpha": 0.1, "cosine": False} | changes))
    run = training.run(score, ignore)
    while training.epoch == 0:
        next(run)
    return training


def test_a_capture_that_outlives_a_rollout_learns_from_the_old_rows() -> None:
    """Why updates are captured anew: the recording holds the memory, not the name."""
    plain, stale = ready(), ready()
    one_epoch([plain], plain.update, as_it_is, ignore)
    launch = Captured(stale.agent, Recordings(stale.agent))
    steps: list[Step] = []

    def once(step: Step) -> Step:
        if not steps:
            steps.append(launch(step))
        return steps[0]

    one_epoch([stale], stale.update, once, ignore)
    assert stale.agent.generator.get_state().equal(plain.agent.generator.get_state())
    assert not same(plain, stale)


DIFFERS = "a captured update differs from the update itself; train with --no-graph, and report it."


def refused(training: Training, step: Step, graphs: type[Recordings] = Recordings) -> str:
    """The error that a step raises at its first capture."""
    launched = Captured(training.agent, graphs(training.agent))(step)
    for _ in range(3):
        launched()
    with pytest.raises(UserError) as caught:
        launched()
    assert one_line(caught.value)
    return str(caught.value)


def test_numbers_of_the_host_are_found_out() -> None:
    """A temperature that Python counts up: the recording repeats the one that it was captured with."""
    training, count = ready(), [0]

    def step() -> Tensor:
        count[0] += 1
        with torch.no_grad():
            training.agent.log_alpha.fill_(-float(count[0]))
        return training.update()

    assert refused(training, step) == DIFFERS


def test_an_optimiser_that_counts_on_the_host_is_found_out() -> None:
    training = ready(alpha=None, alpha_lr=0.1)
    agent = training.agent
    agent.alpha_optimiser = Adam([agent.log_alpha], lr=0.1)
    assert refused(training, training.update) == DIFFERS


def test_draws_from_another_generator_are_found_out() -> None:
    """A recording that draws what is not its own: here the global generator, whose state nobody puts back."""
    training = ready()

    def step() -> Tensor:
        training.agent.actor.mean.bias.data.add_(torch.randn(()))
        return training.update()

    assert refused(training, step) == DIFFERS


def test_a_capture_that_leaves_its_generator_elsewhere_is_found_out() -> None:
    """No number of the two updates shows it: only the next update would draw other numbers."""

    class Thirsty(Recordings):
        def capture(self, step: Step) -> Step:
            repeat, calls = super().capture(step), [0]

            def run() -> Tensor:
                calls[0] += 1
                out = repeat()
                if calls[0] == 2:
                    torch.randn(1, generator=self.learner.generators[0])
                return out

            return run

    training = ready()
    assert refused(training, training.update, Thirsty) == DIFFERS


def test_the_check_leaves_the_learner_where_it_was() -> None:
    training = ready()
    captured = Captured(training.agent, Recordings(training.agent))
    launched = captured(training.update)
    for _ in range(3):
        launched()
    before = {key: value.clone() for key, value in numbers(training).items()}
    captured._check(training.update, training.update)
    state = numbers(training)
    assert all(state[key].equal(value) for key, value in before.items())


def test_what_has_diverged_is_left_to_the_loop() -> None:
    """Not a fault of the capture: the end of the epoch tells of it."""
    training = ready()
    launched = Captured(training.agent, Recordings(training.agent))(training.update)
    with torch.no_grad():
        next(training.agent.critics.parameters()).fill_(float("nan"))
    for _ in range(6):
        assert not launched().isfinite().all()


def test_what_cannot_be_captured_is_told_in_one_sentence() -> None:
    class Refusing(Recordings):
        def capture(self, step: Step) -> Step:
            raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    training = ready()
    assert refused(training, training.update, Refusing) == (
        "an update cannot be captured here (operation not permitted when stream is capturing); train with --no-graph."
    )


def test_without_graphs_a_step_is_made_as_it_is() -> None:
    training = ready()
    assert launching(training.agent, None)(training.update) == training.update


def changed_by_an_update(training: Training) -> set[str]:
    agent = training.agent
    before = {key: value.clone() for key, value in numbers(training).items()}
    agent.update(training.batch(), training.member_values)
    return {key for key, value in numbers(training).items() if not value.equal(before[key])}


def test_all_that_changes_is_put_back() -> None:
    """Whatever an update changes of networks and temperature is on the memory that `changing` lists."""
    training = ready(alpha=None)
    listed = {tensor.data_ptr() for tensor in training.agent.changing()}
    state = numbers(training)
    changed = changed_by_an_update(training) - {"generator"}
    assert changed >= {"log_alpha", "actor.mean.weight", "critics.layers.0.weight", "targets.layers.0.weight"}
    assert {state[name].data_ptr() for name in changed} <= listed
