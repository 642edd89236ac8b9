"""Several seeds in one program: the runs of single commands, up to rounding, in folders of their own."""

import io
from typing import Any

import pytest
import torch

from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.together import train_together
from microbench.learning.train import EpochEnd, Event, Training, Updates
from tests.microbench.toys import CPU, TASK, dataset, small_config
from tests.microbench.training_runs import finish, ignore, make, numbers, score


def several(*seeds: int, **changes: Any) -> list[Training]:
    config = small_config(**changes)
    return [Training(dataset(), TASK, ALGORITHMS["micro"], config, seed=seed, device=CPU) for seed in seeds]


def finish_together(runs: list[Training], listen: Any = ignore) -> list[Training]:
    for _ in train_together(runs, score, [listen] * len(runs)):
        pass
    return runs


def assert_close(one: Training, other: Training) -> None:
    """Equal dynamics and draws to the bit, equal learning to rounding."""
    ours, wanted = numbers(one), numbers(other)
    for key, value in wanted.items():
        if key.startswith("model") or key == "generator":
            assert ours[key].equal(value), key
        else:
            torch.testing.assert_close(ours[key], value, rtol=1e-3, atol=1e-5, msg=key)
    assert len(one.log) == len(other.log)
    for row, expected in zip(one.log, other.log, strict=True):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("changes", [{}, {"gap_estimator": "paired", "alpha": 0.1, "cosine": False}])
def test_each_run_is_the_one_of_its_seed(changes: dict[str, Any]) -> None:
    for run, seed in zip(finish_together(several(4, 0, 2, **changes)), (4, 0, 2), strict=True):
        assert_close(run, finish(make(seed=seed, **changes)))


def test_a_single_run_is_the_plain_loop_bit_for_bit() -> None:
    (run,) = finish_together(several(3))
    one, other = numbers(run), numbers(finish(make(seed=3)))
    assert all(one[key].equal(other[key]) for key in one)


def test_runs_make_the_same_update_at_the_same_time() -> None:
    events: list[Event] = []
    finish_together(several(0, 1, updates_per_epoch=60, epochs=2), events.append)
    last = [event for event in events if not isinstance(event, EpochEnd)][-2:]
    assert last == [Updates(done=50), Updates(done=100)]
    assert [event.epoch for event in events if isinstance(event, EpochEnd)] == [1, 1, 2, 2]


def copy_of(run: Training, seed: int) -> Training:
    stored = io.BytesIO()
    torch.save(run.state_dict(), stored)
    (training,) = several(seed)
    training.load_state_dict(torch.load(io.BytesIO(stored.getvalue()), weights_only=True))
    return training


@pytest.fixture(scope="module")
def uncut() -> list[Training]:
    """Seeds 0 and 1, trained together to the end."""
    return finish_together(several(0, 1))


@pytest.mark.parametrize("cut", range(2, 14))
def test_runs_go_on_from_wherever_each_was_stored(uncut: list[Training], cut: int) -> None:
    """Cut in a fit, between the two, and where one run has been stored an epoch earlier than the other."""
    runs, stored = several(0, 1), {}
    states = train_together(runs, score, [ignore, ignore])
    for _ in range(cut):
        run = next(states)
        seed = runs.index(run)
        stored[seed] = copy_of(run, seed)
    fresh = several(0, 1)
    resumed = [stored.get(seed, fresh[seed]) for seed in (0, 1)]
    for one, other in zip(finish_together(resumed), uncut, strict=True):
        assert_close(one, other)


def test_runs_of_different_progress_are_brought_to_the_same_end() -> None:
    """One was trained alone to its end, the other not at all."""
    ahead = finish(make(seed=0))
    before = {key: value.clone() for key, value in numbers(ahead).items()}
    finish_together([ahead, *several(1)])
    assert all(before[key].equal(value) for key, value in numbers(ahead).items())


def test_every_run_has_its_own_listener() -> None:
    heard: list[list[Event]] = [[], []]
    for _ in train_together(runs := several(0, 1), score, [heard[0].append, heard[1].append]):
        pass
    for run, events in zip(runs, heard, strict=True):
        assert [event.row for event in events if isinstance(event, EpochEnd)] == run.log
