"""The training loop: its schedule, its seeds, and going on after an interruption as if there had been none."""

import dataclasses
import io
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from microbench.data.dataset import Dataset
from microbench.errors import UserError
from microbench.learning.agent import METRICS
from microbench.learning.algorithms.base import Algorithm, Backup, Batch, soft_bellman_target
from microbench.learning.algorithms.ensemble import member_values
from microbench.learning.cohort import Cohort
from microbench.learning.dynamics_fit import FitEpoch
from microbench.learning.train import EpochEnd, Event, Training, Updates
from tests.microbench.toys import dataset, one_line
from tests.microbench.training_runs import finish, ignore, make, numbers, same, score

RUN_STATES = 3 + 1 + 3  # dynamics epochs, the finished fit, epochs


def test_a_run_from_start_to_end() -> None:
    events: list[Event] = []
    training = finish(make(), events.append)
    fits = [event for event in events if isinstance(event, FitEpoch)]
    ends = [event for event in events if isinstance(event, EpochEnd)]
    assert [event.epoch for event in fits] == [1, 2, 3]
    assert [event.epoch for event in ends] == [1, 2, 3]
    assert [row["updates"] for row in training.log] == [10, 20, 30]
    assert ["score" in row for row in training.log] == [False, True, True]  # every second epoch, and the last
    assert set(training.log[-1]) == {
        "epoch", "updates", *METRICS, "imagined_rows", "imagined_reward", "return", "score"
    }  # fmt: skip
    assert training.log[-1]["score"] == 100 * training.log[-1]["return"]
    assert all(math.isfinite(value) for row in training.log for value in row.values())
    assert len(training.model.elites) == 3


def test_listeners_hear_of_updates() -> None:
    events: list[Event] = []
    finish(make(updates_per_epoch=60, epochs=2), events.append)
    assert [event.done for event in events if isinstance(event, Updates)] == [50, 100]


def test_rollouts_come_when_due() -> None:
    """Every 5 of 30 updates; the buffer keeps two of them."""
    training, rollouts = make(), []
    imagine = training.imagination.imagine
    training.imagination.imagine = lambda actor: rollouts.append(imagine(actor)) or rollouts[-1]  # type: ignore[method-assign, func-returns-value]  # a spy
    finish(training)
    assert len(rollouts) == 6
    assert training.log[-1]["imagined_rows"] == len(rollouts[-1]) + len(rollouts[-2])
    mean = torch.cat([rollouts[-2].reward, rollouts[-1].reward]).mean().item()
    assert training.log[-1]["imagined_reward"] == pytest.approx(mean)
    assert 80 < len(rollouts[-1]) <= 120  # 40 starts, 3 steps, some leave


@pytest.mark.parametrize(("real_ratio", "real"), [(0.0, 0), (0.05, 0), (0.25, 4), (0.5, 8), (1.0, 16)])
def test_batches_have_their_share_of_logged_rows_first(real_ratio: float, real: int) -> None:
    seen: list[Batch] = []

    def spy(batch: Batch, backup: Backup) -> Tensor:
        seen.append(batch)
        return soft_bellman_target(batch, backup)

    finish(make(algorithm=Algorithm(bellman_target=spy), real_ratio=real_ratio, epochs=1))
    assert len(seen) == 10
    logged = torch.from_numpy(dataset().action)
    for batch in seen:
        assert batch.real == real
        assert len(batch.rows) == 16
        known = (batch.rows.action[:, None] == logged).all(-1).any(1)
        assert known.tolist() == [True] * real + [False] * (16 - real)


@pytest.mark.parametrize("real_ratio", [0.0, 1.0])
def test_micro_trains_at_both_ends_of_the_share(real_ratio: float) -> None:
    assert len(finish(make(real_ratio=real_ratio, epochs=1)).log) == 1


def test_on_logged_rows_alone_micro_is_sac() -> None:
    micro, sac = (finish(make(algorithm=name, real_ratio=1.0, epochs=1)) for name in ("micro", "sac"))
    assert micro.log == sac.log
    micro, sac = (finish(make(algorithm=name, epochs=1)) for name in ("micro", "sac"))
    assert micro.log != sac.log


def test_the_estimator_reaches_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []

    def spy(*arguments: Any, **options: Any) -> Tensor:
        seen.append((options["samples"], options["paired"]))
        return member_values(*arguments, **options)

    monkeypatch.setattr("microbench.learning.train.member_values", spy)
    finish(make(samples=3, gap_estimator="paired", epochs=1))
    finish(make(samples=2, gap_estimator="independent", epochs=1))
    assert seen == [(3, True)] * 10 + [(2, False)] * 10


def test_cosine_schedule() -> None:
    """From the full rate, over half of it in the middle, towards 0 at the end; without it the rate stays."""
    for cosine in (True, False):
        training = make(epochs=4, cosine=cosine, updates_per_epoch=2)
        rates: list[float] = []

        def listen(event: Event, training: Training = training, rates: list[float] = rates) -> None:
            if isinstance(event, EpochEnd):
                rates.append(training.agent.actor_optimiser.param_groups[0]["lr"])

        finish(training, listen)
        factors = [1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)] if cosine else [1, 1, 1, 1]
        assert rates == pytest.approx([1e-3 * factor for factor in factors])
        training.epoch = 4
        training._cool_actor()
        end = training.agent.actor_optimiser.param_groups[0]["lr"]
        assert end == pytest.approx(0 if cosine else 1e-3, abs=1e-12)
        assert training.agent.critic_optimiser.param_groups[0]["lr"] == 1e-3


def test_equal_seeds_give_equal_numbers_and_others_do_not() -> None:
    first, again, other = (finish(make(seed=seed)) for seed in (3, 3, 4))
    assert same(first, again)
    one, two = numbers(first), numbers(other)
    fixed = [key for key in one if one[key].equal(two[key])]
    assert all("action_" in key or "elites" in key for key in fixed)


def test_parts_of_a_run_have_streams_of_their_own() -> None:
    training = make()
    streams = [training.fit.generator, training.agent.generator, training.imagination.generator]
    assert len({stream.initial_seed() for stream in streams}) == 3


def test_the_global_generator_is_neither_used_nor_touched() -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  # what is tested is that nobody draws from it
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    first = finish(make())
    assert torch.get_rng_state().equal(before)
    assert (np.random.get_state()[1] == numpy_before).all()  # type: ignore[index]  # noqa: NPY002
    torch.manual_seed(2)
    assert same(finish(make()), first)


@cache
def uninterrupted() -> Training:
    return finish(make())


@pytest.mark.parametrize("cut", range(RUN_STATES))
def test_a_run_continues_bit_for_bit(cut: int) -> None:
    """Cut after any dynamics epoch, after the fit, or after any epoch; through a file; into a fresh process's state."""
    running = make()
    states = running.run(score, ignore)
    for _ in range(cut + 1):
        next(states)
    stored = io.BytesIO()
    torch.save(running.state_dict(), stored)
    assert running.fitted == (cut >= 3)

    torch.manual_seed(cut)
    resumed = make()
    resumed.load_state_dict(torch.load(io.BytesIO(stored.getvalue()), weights_only=True))
    finish(resumed)
    assert same(resumed, uninterrupted())


def test_a_run_yields_whenever_it_may_be_stored() -> None:
    assert sum(1 for _ in make().run(score, ignore)) == RUN_STATES


def test_early_states_hold_the_fit_only() -> None:
    running = make()
    next(running.run(score, ignore))
    assert list(running.state_dict()) == ["fit"]


def broken(**changes: Any) -> Dataset:
    """The toy data with arrays replaced."""
    return dataclasses.replace(dataset(), **changes)


def test_nan_rewards_are_told_as_divergence() -> None:
    reward = dataset().reward.copy()
    reward[100] = math.nan
    with pytest.raises(UserError, match="diverged") as caught:
        finish(make(data=broken(reward=reward)))
    assert one_line(caught.value)


def test_diverging_updates_are_told() -> None:
    """The dynamics are fine; then every target is NaN."""

    def nowhere(batch: Batch, backup: Backup) -> Tensor:
        return torch.full_like(batch.rows.reward, math.nan)

    with pytest.raises(UserError, match=r"training diverged in epoch 1 \(critic_loss nan") as caught:
        finish(make(algorithm=Algorithm(bellman_target=nowhere)))
    assert one_line(caught.value)


def test_exploding_learning_rates_are_told() -> None:
    with pytest.raises(UserError, match="diverged"):
        finish(make(critic_lr=1e30, updates_per_epoch=50))


def test_too_small_datasets_are_told() -> None:
    with pytest.raises(UserError, match="at least 10"):
        make(data=dataset(5))


def test_micro_is_more_careful_than_sac_on_imagined_rows() -> None:
    """The only difference is −β f ≤ 0, so mean targets come out lower."""
    settings: dict[str, Any] = {
        "beta": 5.0,
        "real_ratio": 0.0,
        "epochs": 1,
        "updates_per_epoch": 150,
        "critic_lr": 1e-2,
    }
    micro, sac = (finish(make(algorithm=name, **settings)) for name in ("micro", "sac"))
    assert micro.log[0]["target"] < sac.log[0]["target"] - 0.05


class _Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no annotations here
    """Notes operations whose result the host has to wait for on a GPU, and what is moved between devices."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "is_pinned")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, options = func.overloadpacket.__name__, kwargs or {}
        if name in self.WAITING or (name == "_to_copy" and options.get("device") is not None):
            self.seen.append(name)
        return func(*args, **options)


@pytest.mark.parametrize("changes", [{"alpha": 0.1}, {"alpha": 0.1, "gap_estimator": "paired", "max_q_backup": True}])
def test_nothing_waits_for_a_result_inside_an_update(changes: dict[str, Any]) -> None:
    training = finish(make(epochs=1, **changes))
    with _Waits() as watch:
        training.update()
    assert watch.seen == []
    batch = training.batch()
    with _Waits() as watch:
        Cohort([training.agent]).update([batch], [training.member_values])
    assert watch.seen == []
    with _Waits() as watch:
        float(batch.rows.reward.mean())
    assert watch.seen == ["_local_scalar_dense"]
