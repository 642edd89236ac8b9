"""Evolved adversaries against brute force; repeated, interrupted and threaded searches; the budget; no optimism."""

import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from attacks import Target, Threat
from microbench.adversaries.evolution import Settings
from microbench.adversaries.evolved import Kind, Map
from microbench.adversaries.evolving import Evolution, untouched
from microbench.adversaries.opponent import Opponent
from microbench.numerics.rows import one_thread
from microbench.seeds import ADVERSARY, ADVERSARY_CHOICE
from microbench.simulators.contract import RestartingSimulator
from microbench.tasks import TASKS, Task
from tests.microbench.adversaries import linear_system as system
from tests.microbench.adversaries import worlds_of_one_step as bandit

FRESH = range(200)
FEW = Settings(directions=4, best=2, judge_every=1)


def searched(
    opponent: Opponent,
    kind: Kind,
    *,
    steps: int,
    make: Callable[[Task, int], RestartingSimulator],
    seed: int = 0,
    settings: Settings | None = None,
) -> Evolution:
    search = Evolution(opponent, settings or Settings(), kind=kind, steps=steps, seed=seed, make=make)
    with one_thread():
        for _ in search.run():
            pass
    return search


def raw(search: Evolution) -> tuple[Any, Any]:
    """The map u = W x + b (1, S, S), (1, S) of the raw observation, normalisation included."""
    ((weight, bias),), mean, std = search.outcome().layers, search.outcome().mean, search.outcome().std
    whole = (weight / std).double().numpy()
    return whole[None], (bias.double().numpy() - whole @ mean.double().numpy())[None]


def without_seconds(search: Evolution) -> list[dict[str, Any]]:
    return [{k: str(v) for k, v in row.items() if k != "seconds"} for row in search.curve]


def test_evolution_reaches_the_worst_of_a_grid_of_constant_offsets() -> None:
    """All offsets in steps of 0.05; the cost is convex in the offset, so that the worst is a corner of the grid."""
    start = system.start_states(FRESH)
    grid = np.array(list(itertools.product(np.linspace(-1, 1, 41), repeat=2)))
    clean, *left = system.returns(np.zeros((1 + len(grid), 2, 2)), np.r_[np.zeros((1, 2)), grid], start).mean(1)
    search = searched(system.opponent("constant"), "constant", steps=40_000, make=system.LinearSystem)
    measured = system.returns(np.zeros((1, 2, 2)), raw(search)[1], start).mean()
    assert clean - measured >= 0.98 * (clean - min(left))


def test_evolution_reaches_the_worst_of_a_grid_of_linear_maps() -> None:
    """15,625 maps: every weight and offset of five values, which saturate or do not."""
    start = system.start_states(FRESH[:12])
    grid = np.array(list(itertools.product((-8.0, -1.0, 0.0, 1.0, 8.0), repeat=6)))
    zeros = np.zeros((1, 6))
    clean, *left = np.concatenate(
        [
            system.returns(part[:, :4].reshape(-1, 2, 2), part[:, 4:], start).mean(1)
            for part in (zeros, *np.array_split(grid, 20))
        ]
    )
    opponent, quick = system.opponent("evolved"), Settings(rate=0.6)
    search = searched(opponent, "evolved", steps=50_000, make=system.LinearSystem, settings=quick)
    measured = system.returns(*raw(search), start).mean()
    assert clean - measured >= 0.98 * (clean - min(left))


@pytest.mark.parametrize("gradients", [True, False])
def test_a_policy_without_gradients_is_searched_from_nothing(gradients: bool) -> None:
    opponent = system.opponent("evolved", gradients=gradients)
    search = searched(opponent, "evolved", steps=20_000, make=system.LinearSystem)
    assert gradients or search.start == "nothing"
    assert search.curve[-1]["best"] < search.curve[0]["best"]


@pytest.mark.parametrize(
    ("norm", "hidden"), [("linf", ()), ("l2", ()), ("linf", (2,))], ids=["linf", "l2", "a hidden sensor"]
)
@pytest.mark.parametrize("memory", [False, True])
def test_the_optimum_of_a_world_of_one_step_is_found(norm: str, hidden: tuple[int, ...], memory: bool) -> None:
    opponent = bandit.opponent("constant", norm=norm, hidden=hidden, memory=memory)
    search = searched(opponent, "constant", steps=60_000, make=bandit.Bandit, settings=Settings(rate=0.15))
    (weight, bias), *_ = search.outcome().layers
    assert bias[list(hidden)].tolist() == [0.0] * len(hidden)
    assert not weight.any()
    push = opponent.threat.half_width[:4] * bias.clamp(-1, 1)
    seen = opponent.threat.project(
        torch.zeros(1, 5 if memory else 4), torch.cat([push, torch.zeros(int(memory))])[None]
    )
    taken = -float(bandit.linear_policy(seen)[0].double().numpy() @ bandit.PRICE)
    best = bandit.optimum(norm=norm, hidden=hidden)
    assert 0.98 * best <= taken <= best + 1e-5


def test_it_starts_from_what_pgd_pushes_and_never_ends_weaker() -> None:
    """With the reward itself for a critic, the mean push of pgd is the optimum from the start: 20 steps of it."""
    opponent = bandit.opponent("constant")
    price = torch.from_numpy(bandit.PRICE).float()
    target = replace(opponent.target, critic=lambda obs, action: action @ price)
    search = searched(replace(opponent, target=target), "constant", steps=3_000, make=bandit.Bandit)
    best = [row["best"] for row in search.curve]
    assert search.start.startswith("pgd")
    assert best == sorted(best, reverse=True)
    whole = 19 / 20 * 20 + 1 / 20 * 5  # row 0 of the twenty falls after 5 steps
    nothing = Evolution(opponent, Settings(), kind="constant", steps=1, seed=0, make=bandit.Bandit)
    next(nothing.run())
    assert nothing.curve[0]["best"] - best[0] == pytest.approx(whole * bandit.optimum(), rel=0.01)


def test_what_it_costs_is_every_step_of_every_episode() -> None:
    """20 steps an episode: 16 clean ones, 20 per judgement of a start or centre, 8 per iteration."""
    opponent = system.opponent("evolved", gradients=False)
    search = searched(opponent, "evolved", steps=2_000, make=system.LinearSystem, settings=FEW)
    iterations = len(search.curve) - 1
    assert search.episodes == 16 + 20 + iterations * (8 + 20)
    assert search.steps == search.curve[-1]["steps"] == 20 * search.episodes
    assert search.curve[-2]["steps"] < 2_000 <= search.steps


@pytest.mark.parametrize("kind", ["evolved", "constant"])
def test_a_resumed_search_is_the_uninterrupted_one(kind: Kind) -> None:
    opponent = bandit.opponent(kind, memory=True)
    straight = searched(opponent, kind, steps=6_000, make=bandit.Bandit, settings=FEW, seed=1)
    cut, again = (Evolution(opponent, FEW, kind=kind, steps=6_000, seed=1, make=bandit.Bandit) for _ in range(2))
    with one_thread():
        for _, _ in zip(cut.run(), range(3), strict=False):
            buffer = io.BytesIO()
            torch.save(cut.state_dict(), buffer)
        again.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
        assert len(again.curve) == 3 < len(straight.curve)
        for _ in again.run():
            pass
    assert without_seconds(again) == without_seconds(straight)
    assert again.start == straight.start
    for one, other in zip(again.outcome().layers[0], straight.outcome().layers[0], strict=True):
        assert torch.equal(one, other)


def test_threads_change_nothing() -> None:
    task = replace(TASKS["Hopper-v4"], horizon=30)
    weight = torch.randn(3, 11, generator=torch.Generator().manual_seed(0))
    target = Target(policy=lambda obs: torch.tanh(obs @ weight.T), obs_scale={"raw": torch.ones(11)})
    threat = Threat(eps=0.1, scale=torch.ones(11), unit="raw")
    opponent = Opponent(target=target, task=task, threat=threat, method="evolved")
    one, two = (
        searched(opponent, "evolved", steps=5_000, make=partial(untouched, nthread=n), settings=FEW) for n in (1, 2)
    )
    assert without_seconds(one) == without_seconds(two)
    assert torch.equal(one.outcome().layers[0][0], two.outcome().layers[0][0])


def shape(kind: Kind, sensors: int, closed: tuple[int, ...] = ()) -> Map:
    mean, std = torch.linspace(-1, 1, sensors), torch.linspace(0.5, 2, sensors)
    return Map(kind=kind, mean=mean, std=std, open=~np.isin(np.arange(sensors), closed))


def test_rows_decide_the_same_in_every_grouping_and_the_file_agrees() -> None:
    rng, form = np.random.default_rng(0), shape("evolved", 17, closed=(3, 5))
    numbers, obs = rng.normal(size=(30, form.size)), torch.from_numpy(rng.normal(size=(30, 17))).float()
    decisions = form.decisions(numbers)
    whole = decisions.decided(obs, np.arange(30))
    for size in (1, 3, 7, 16):
        parts = [decisions.decided(obs[i : i + size], np.arange(i, min(30, i + size))) for i in range(0, 30, size)]
        assert torch.equal(torch.cat(parts), whole)
    weight, bias = form.layer(numbers[4])
    z = ((obs[4] - form.mean) / form.std).clamp(-10, 10)
    torch.testing.assert_close(weight @ z + bias, whole[4], rtol=1e-5, atol=1e-5)
    assert not whole[:, [3, 5]].any()
    back = form.numbers(weight.double().numpy()[form.open], bias.double().numpy()[form.open])
    np.testing.assert_allclose(back, numbers[4], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("eps", [0.0, 0.3])
@pytest.mark.parametrize("in_range", [False, True])
def test_the_budget_is_kept_and_0_is_the_identity(norm: Any, eps: float, in_range: bool) -> None:
    rng, form = np.random.default_rng(0), shape("evolved", 4, closed=(1,))
    scale = torch.tensor([0.5, 0.0, 2.0, 1.0])
    low, high = (torch.full((4,), -0.5), torch.full((4,), 0.5)) if in_range else (None, None)
    threat = Threat(eps=eps, scale=scale, unit="raw", norm=norm, low=low, high=high)
    obs = torch.from_numpy(rng.normal(size=(50, 4))).float()
    attack = form.decisions(100 * rng.normal(size=(50, form.size))).for_rows(np.arange(50))
    seen = attack(bandit.opponent().target, obs, threat, None)  # type: ignore[arg-type]  # it asks no noise
    assert bool(threat.inside(obs, seen).all())
    assert torch.equal(seen[:, 1], obs[:, 1])
    assert torch.equal(seen, obs) is (eps == 0)


def test_a_victim_that_breaks_ends_its_row_and_the_search_goes_on() -> None:
    def policy(obs: torch.Tensor) -> torch.Tensor:
        return torch.where(obs[:, :1] > 0.5, torch.nan, 1.0).expand(-1, 2)

    opponent = bandit.opponent("constant")
    opponent = replace(opponent, target=replace(opponent.target, policy=policy))
    search = searched(opponent, "constant", steps=2_000, make=bandit.Bandit, settings=FEW)
    assert search.curve[-1]["best"] < search.curve[0]["return"]


def test_the_fresh_estimate_is_unbiased_over_many_searches() -> None:
    """50 whole searches on a noisy system: 20 fresh episodes against the mean of 100 others, all of their own."""
    noisy, opponent = partial(system.LinearSystem, noise=0.3), system.opponent("constant", gradients=False)
    short = replace(opponent, task=replace(system.TASK, horizon=3))
    differences = []
    for seed in range(50):
        search = searched(short, "constant", steps=500, make=noisy, seed=seed, settings=FEW)
        rows = np.repeat(search._there.best[None], 120, 0)
        left = search._returns(search._there.map.decisions(rows), range(1000 * seed, 1000 * seed + 120))
        differences.append(left[:20].mean() - left[20:].mean())
    assert abs(np.mean(differences)) < 2.6 * np.std(differences, ddof=1) / np.sqrt(50)


def test_the_strongest_is_chosen_on_episodes_that_moved_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds of the choice, of the search and of an evaluation share none."""
    used: list[int] = []
    restart = system.LinearSystem.restart

    def watched(self: system.LinearSystem, ids: Any, seeds: Any) -> Any:
        used.extend(seeds)
        return restart(self, ids, seeds)

    monkeypatch.setattr(system.LinearSystem, "restart", watched)
    searched(system.opponent("constant", gradients=False), "constant", steps=1_500, make=system.LinearSystem)
    moving = [seed for seed in used if seed not in ADVERSARY_CHOICE]
    assert set(used) - set(moving) == set(ADVERSARY_CHOICE)
    assert all(seed in ADVERSARY for seed in moving)
    pairs = moving[16:80]
    assert pairs[:32] == pairs[32:]
    assert len(set(moving[16:])) * 2 == len(moving[16:])
