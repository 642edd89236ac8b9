"""Learned adversaries against a victim whose worst case is known; repeated and interrupted trainings."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attacks import Noise, Target, Threat
from microbench.adversaries import METHODS, pa_ad, ppo
from microbench.adversaries.opponent import Opponent
from microbench.adversaries.rows import Moved, Rows
from microbench.adversaries.statistics import normalised
from microbench.adversaries.training import Training, _Step
from microbench.adversaries.tries import DEFAULT, VARIANTS, planned
from microbench.numerics.rows import one_thread
from microbench.seeds import ADVERSARY
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import TASKS
from tests.microbench.adversaries import worlds_of_one_step as bandit

# The present decision decides the present reward alone, so nothing later is counted.
SMALL = ppo.Settings(rows=16, horizon=16, minibatch=64, lr=5e-3, log_std=-0.5, gamma=0.0)
OBS = 0.3 * torch.randn(32, bandit.SENSORS, generator=torch.Generator().manual_seed(0))


def created(opponent: Opponent, *, steps: int, seed: int = 0, settings: ppo.Settings = SMALL) -> Training:
    return Training(opponent, settings, steps=steps, seed=seed, make=bandit.Bandit)


def trained(opponent: Opponent, *, steps: int, seed: int = 0) -> Training:
    training = created(opponent, steps=steps, seed=seed)
    with one_thread():
        for _ in training.run():
            pass
    return training


def taken(training: Training) -> float:
    """What the deterministic adversary takes from the reward of a step, on average."""
    with torch.no_grad():
        z = normalised(OBS, training.statistics.mean, training.statistics.std)
        return taken_by(training.opponent, training.networks.mean(z))


def taken_by(opponent: Opponent, decision: torch.Tensor) -> float:
    seen = METHODS[opponent.method].show(opponent.target, OBS, decision, opponent.threat, Noise.from_seeds(range(32)))
    assert bool(opponent.threat.inside(OBS, seen).all())
    change = opponent.target.policy(seen) - opponent.target.policy(OBS)
    return -float((change.double().numpy() @ bandit.PRICE).mean())


@pytest.mark.parametrize(
    ("norm", "hidden"), [("linf", ()), ("l2", ()), ("linf", (2,))], ids=["linf", "l2", "a hidden sensor"]
)
def test_sa_rl_finds_nine_tenths_of_the_optimum(norm: str, hidden: tuple[int, ...]) -> None:
    training = trained(bandit.opponent(norm=norm, hidden=hidden), steps=4000)
    best = bandit.optimum(norm=norm, hidden=hidden)
    assert 0.9 * best <= taken(training) <= best + 1e-5
    first, last = (np.mean([row["return"] for row in rows]) for rows in (training.curve[:4], training.curve[-4:]))
    assert last < first


def test_pa_ad_finds_nine_tenths_of_what_its_best_direction_takes() -> None:
    """The best of 72 directions, each tried everywhere, is the optimum of a director whose actor is given."""
    training = trained(bandit.opponent("pa-ad"), steps=4000)
    assert training.networks.log_std.shape == (bandit.ACTIONS,)
    opponent, angles = training.opponent, torch.arange(72) * (2 * torch.pi / 72)
    directions = torch.stack([angles.cos(), angles.sin()], 1)
    best = max(taken_by(opponent, direction.expand(32, -1)) for direction in directions)
    assert 0.4 * bandit.optimum() < best < bandit.optimum()  # the norm in its objective leads the actor elsewhere
    assert taken(training) >= 0.9 * best


def test_the_actor_of_pa_ad_goes_where_it_is_directed() -> None:
    """π(s) = Ws: the best reachable action change towards d = ±e is known; the reference steps the other way."""
    target = Target(policy=lambda obs: obs[:, :1] * 2 + obs[:, 1:2], obs_scale={"raw": torch.ones(2)})
    threat = Threat(eps=0.5, scale=torch.tensor([1.0, 2.0]), unit="raw")
    obs, noise = torch.randn(40, 2), Noise.from_seeds(range(40))
    for sign in (1.0, -1.0):
        seen = pa_ad.show(target, obs, torch.full((40, 1), sign), threat, noise)
        change = target.policy(seen) - target.policy(obs)
        torch.testing.assert_close(change, torch.full((40, 1), sign * (0.5 * 1 * 2 + 0.5 * 2 * 1)))


def test_the_stated_objective_grows_over_the_search() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2)).requires_grad_(False)
    target = Target(policy=lambda obs: net(obs[:, :4]), obs_scale={"raw": torch.ones(4)})
    threat = Threat(eps=0.3, scale=torch.ones(4), unit="raw")
    obs, direction = torch.randn(64, 4), torch.randn(64, 2)
    start = threat.sample(obs, Noise.from_seeds(range(64)), 1)[:, 0]
    seen = pa_ad.show(target, obs, direction, threat, Noise.from_seeds(range(64)))

    def gained(seen: torch.Tensor) -> torch.Tensor:
        change = net(seen) - net(obs)
        measured: torch.Tensor = torch.cosine_similarity(change, direction, -1) + change.norm(dim=-1)
        return measured

    assert bool((gained(seen) >= gained(start) - 1e-6).all())
    assert gained(seen).mean() > gained(start).mean() + 0.5


def test_a_training_is_repeated_to_the_bit_and_another_seed_is_another() -> None:
    one, same, other = (trained(bandit.opponent(), steps=1500, seed=seed) for seed in (3, 3, 4))
    assert one.curve == same.curve
    assert all(torch.equal(a, b) for a, b in zip(one.networks.parameters(), same.networks.parameters(), strict=True))
    assert one.curve != other.curve


def stored(training: Training) -> Any:
    """The state as it comes back from the disk."""
    buffer = io.BytesIO()
    torch.save(training.state_dict(), buffer)
    return torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)


@pytest.mark.parametrize("method", ["pa-ad", "sa-rl"])
@pytest.mark.parametrize("memory", [False, True])
def test_a_resumed_training_is_the_uninterrupted_one(method: str, memory: bool) -> None:
    opponent = bandit.opponent(method, memory=memory)
    straight, cut, again = (created(opponent, steps=1500, seed=1) for _ in range(3))
    with one_thread():
        for _ in straight.run():
            pass
        for _, _ in zip(cut.run(), range(3), strict=False):
            state = stored(cut)
        again.load_state_dict(state)
        assert again.iteration == 3
        for _ in again.run():
            pass
    assert again.curve == straight.curve
    assert all(
        torch.equal(a, b)
        for a, b in zip(again._rows.state_dict().values(), straight._rows.state_dict().values(), strict=True)
    )
    for a, b in zip(again.networks.parameters(), straight.networks.parameters(), strict=True):
        assert torch.equal(a, b)


def test_running_episodes_are_taken_up_in_the_real_simulator() -> None:
    """Rows of different ages; the physics, with its warm starts, goes on to the same bits."""
    task = replace(TASKS["HalfCheetah-v4"], horizon=60)
    torch.manual_seed(0)
    weight = torch.randn(task.action_size, task.obs_size)
    target = Target(policy=lambda obs: torch.tanh(obs @ weight.T), obs_scale={})

    def rows() -> Rows:
        return Rows(target, make_simulator(task, [nominal_model(task)] * 8), np.random.default_rng(0))

    one, other, rng = rows(), rows(), np.random.default_rng(1)
    for _ in range(45):
        one.step(one.obs, rng)
    assert len(set(one._age.tolist())) > 4
    state = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    other.load_state_dict(state)
    rngs = [np.random.default_rng(2) for _ in range(2)]
    for _ in range(30):
        moved = [each.step(each.obs, rng) for each, rng in zip((one, other), rngs, strict=True)]
        assert np.array_equal(moved[0].reward, moved[1].reward)
        assert torch.equal(one.obs, other.obs)


def test_a_cut_episode_counts_the_value_of_its_own_last_state_and_a_fall_nothing() -> None:
    """Row 0 runs on, row 1 falls, row 2 is cut: V'(0) is that of the next step, V'(1) = 0, V'(2) = V(its last obs)."""
    training = created(bandit.opponent(), steps=256)
    last = torch.arange(3 * bandit.SENSORS).float().view(3, -1) / 10
    ended, terminal = np.array([False, True, True]), np.array([False, True, False])
    moved = Moved(reward=np.zeros(3), last=last, terminal=terminal, ended=ended)
    nothing = torch.zeros(3, bandit.SENSORS)
    step = _Step(obs=nothing, z=nothing, decision=nothing, moved=moved)
    with torch.no_grad():
        measured = training._follows([step], torch.tensor([[7.0, 8.0, 9.0]]))[0]
        own = training.networks.judged(last)[2]
    assert measured.tolist() == [7.0, 0.0, own.item()]


def test_rewards_are_what_the_victim_loses_in_spreads_of_their_discounted_sums() -> None:
    """γ = 0.5, two steps of two rows, the second row ends: sums (−2, −4) and (−1 − 2, −6 − 0), by hand."""
    training = created(bandit.opponent(), steps=256, settings=replace(SMALL, rows=2, gamma=0.5))
    nothing, no = torch.zeros(2, 1), np.array([False, False])
    moves = [
        Moved(reward=np.array([2.0, 4.0]), last=nothing, terminal=no, ended=np.array([False, True])),
        Moved(reward=np.array([2.0, 6.0]), last=nothing, terminal=no, ended=no),
    ]
    spread = np.std([-2.0, -4.0, -3.0, -6.0])
    measured = training._scaled(moves)
    assert measured.numpy() == pytest.approx(np.array([[-2.0, -4.0], [-2.0, -6.0]]) / spread)
    assert training._discounted.tolist() == [-3.0, -6.0]


def test_rows_start_anew_at_once_with_seeds_of_their_own() -> None:
    simulator = bandit.Bandit(bandit.TASK, 8)
    rows = Rows(bandit.opponent().target, simulator, np.random.default_rng(0))
    rng, ends = np.random.default_rng(1), []
    for _ in range(65):
        moved = rows.step(rows.obs, rng)
        ends.append(moved.ended)
        assert (moved.terminal == (moved.ended & (np.arange(8) == 0) & (simulator.t == 0))).all() or moved.ended[0]
    assert min(simulator.started) >= ADVERSARY.start
    assert len(set(simulator.started)) == len(simulator.started) == 8 + np.sum(ends)
    cut = np.stack(ends)
    assert (
        cut[:20].any(0).all()
    )  # the first episodes are cut at random ages up to 20 steps, so that rows are out of step
    assert len({int(np.flatnonzero(column)[0]) for column in cut.T}) > 3
    for column in cut.T[1:]:
        assert set(np.diff(np.flatnonzero(column))) == {20}
    assert set(np.diff(np.flatnonzero(cut[:, 0]))) == {5}


def test_a_return_counts_whole_episodes_only() -> None:
    simulator = bandit.Bandit(replace(bandit.TASK, horizon=4), 2)
    rows = Rows(
        replace(bandit.opponent().target, policy=lambda obs: 0 * obs[:, :2]), simulator, np.random.default_rng(5)
    )
    for _ in range(12):
        rows.step(rows.obs, np.random.default_rng(0))
    assert set(rows.finished) == {12.0}


def test_what_is_no_number_ends_an_episode() -> None:
    def policy(obs: torch.Tensor) -> torch.Tensor:
        return torch.where(obs[:, :1] > 0, torch.nan, 1.0).expand(-1, 2)

    simulator = bandit.Bandit(bandit.TASK, 64)
    rows = Rows(replace(bandit.opponent().target, policy=policy), simulator, np.random.default_rng(0))
    lost = rows.obs[:, 0].numpy() > 0
    moved = rows.step(rows.obs, np.random.default_rng(1))
    assert moved.terminal.tolist() == lost.tolist()
    assert moved.reward.tolist() == np.where(lost, 0, 4.5).tolist()
    assert bool(moved.last.isfinite().all())


def test_a_recurrent_victims_memory_follows_what_it_was_shown() -> None:
    opponent = bandit.opponent(memory=True)
    rows = Rows(opponent.target, bandit.Bandit(bandit.TASK, 8), np.random.default_rng(0))
    age = np.zeros(8)
    for _ in range(30):
        assert rows.obs[:, -1].tolist() == age.tolist()
        moved = rows.step(rows.obs, np.random.default_rng(1))
        age = np.where(moved.ended, 0, age + 1)


def test_tries_differ_in_seed_and_settings() -> None:
    tries = planned(6, 10)
    assert [attempt.seed for attempt in tries] == [10, 11, 12, 13, 14, 15]
    assert [attempt.settings for attempt in tries] == [*VARIANTS, *VARIANTS][:6]
    assert VARIANTS[0] == DEFAULT
    assert len(set(VARIANTS)) == len(VARIANTS)
