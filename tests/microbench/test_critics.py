"""Fitted critics: known values on a chain and a linear system, bounds that hold, episodes as Gymnasium runs them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from attacks import Target
from microbench.checkpoints import load
from microbench.critics import METHODS, Fit, FittedCritic, fit
from microbench.critics.bounds import output_bounds
from microbench.critics.judging import _outcomes, of_actions, on_policy, poor
from microbench.critics.robust_sarsa import Robustness
from microbench.critics.rollouts import roll_out
from microbench.critics.steps import Steps, of_dataset, returns_to_go
from microbench.environment import make_env
from microbench.errors import UserError
from microbench.networks import Critics, stacked
from microbench.returns import clean_returns
from microbench.tasks import find_task
from tests.microbench import foreign_files as files
from tests.microbench.small_run import write_policy
from tests.microbench.toys import dataset, one_line

HOPPER = find_task("Hopper-v4")
LOW, HIGH = torch.tensor([-1.0]), torch.tensor([1.0])
GAMMA = 0.9
SMALL = Fit(gamma=GAMMA, steps=800, batch=64, members=2, hidden=(16, 16), tau=0.1, lr=1e-2)
REWARDS = torch.tensor([1.0, 2.0, 4.0, 8.0])


def always_half(obs: Tensor) -> Tensor:
    return torch.full((len(obs), 1), 0.5)


def chain(episodes: int = 100, seed: int = 0) -> Steps:
    """Four states in a row, then the end; reward 1, 2, 4, 8 plus the action, which is uniform in [−1, 1)."""
    states = torch.eye(4).repeat(episodes, 1)
    action = torch.rand(len(states), 1, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    terminal = torch.tensor([0.0, 0, 0, 1]).repeat(episodes)
    return Steps(
        obs=states,
        action=action,
        reward=REWARDS.repeat(episodes) + action[:, 0],
        next_obs=states.roll(-1, 0) * (1 - terminal)[:, None],
        terminal=terminal,
        next_intended=always_half(states),
        next_executed=action.roll(-1, 0),
        lengths=torch.full((episodes,), 4),
    )


def chain_values(next_action: float) -> Tensor:
    """Q(i, 0) = r_i + γ (Q(i + 1, 0) + a'), from the end; an action adds itself."""
    values = [8.0]
    for reward in (4.0, 2.0, 1.0):
        values.insert(0, reward + GAMMA * (values[0] + next_action))
    return torch.tensor(values)


def fitted(steps: Steps, name: str, config: Fit = SMALL, penalty: Robustness | None = None) -> FittedCritic:
    return fit(steps, replace(METHODS[name], penalty=penalty), config, low=LOW, high=HIGH)


def test_fqe_recovers_the_values_of_a_policy_that_did_not_make_the_steps() -> None:
    q = fitted(chain(), "fqe")
    for action in (-0.8, 0.0, 0.5):
        members = q.members(torch.eye(4), torch.full((4, 1), action))
        assert members.shape == (2, 4)
        assert (members - (chain_values(0.5) + action)).abs().max() < 0.15


def test_a9_on_a_chain_with_known_values_the_sarsa_critic_recovers_them() -> None:
    """The published code takes the next row of a shuffled batch for the successor: that fit is far away here."""
    wanted = chain_values(0.0)  # what really followed was 0 in the mean
    got = fitted(chain(), "robust-sarsa")(torch.eye(4), torch.zeros(4, 1))
    assert (got - wanted).abs().max() < 0.3
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    right = chain()
    shuffled = replace(right, next_obs=right.obs[order], next_executed=right.action[order])
    assert (fitted(shuffled, "robust-sarsa")(torch.eye(4), torch.zeros(4, 1)) - wanted).abs().max() > 2


def test_a_light_penalty_keeps_the_values_and_a_heavy_one_levels_the_actions() -> None:
    steps, actions = chain(), torch.tensor([[-1.0], [1.0]]).repeat(4, 1)
    states = torch.eye(4).repeat_interleave(2, 0)
    light = fitted(steps, "robust-sarsa", penalty=Robustness(weight=1e-3))
    heavy = fitted(steps, "robust-sarsa", penalty=Robustness(weight=10.0, action_radius=1.0))
    assert (light(torch.eye(4), torch.zeros(4, 1)) - chain_values(0.0)).abs().max() < 0.5
    slopes = [(q(states, actions)[1::2] - q(states, actions)[::2]).mean() for q in (light, heavy)]
    assert slopes[0] == pytest.approx(2.0, abs=0.4)
    assert abs(slopes[1]) < slopes[0] / 4


def test_fqe_recovers_the_quadratic_value_of_a_linear_system() -> None:
    """s' = 0.9 s + 0.5 a, r = −s² − 0.1 a², π(s) = −0.5 s: V(s) = −p s² with p = 1.025 / (1 − γ 0.65²)."""
    generator = torch.Generator().manual_seed(0)
    obs = torch.rand(2000, 1, generator=generator) * 4 - 2
    action = torch.rand(2000, 1, generator=generator) * 2 - 1
    next_obs = 0.9 * obs + 0.5 * action
    steps = Steps(
        obs=obs,
        action=action,
        reward=(-obs.square() - 0.1 * action.square())[:, 0],
        next_obs=next_obs,
        terminal=torch.zeros(2000),
        next_intended=-0.5 * next_obs,
        next_executed=-0.5 * next_obs,
        lengths=torch.ones(2000, dtype=torch.long),
    )
    p = 1.025 / (1 - GAMMA * 0.65**2)
    wanted = steps.reward - GAMMA * p * next_obs[:, 0].square()
    for name in METHODS:
        q = fitted(steps, name, replace(SMALL, steps=1500, hidden=(32, 32)))(obs, action)
        assert (q - wanted).abs().mean() < 0.25
        assert float(torch.corrcoef(torch.stack([q, wanted]))[0, 1]) > 0.995


def test_a_cut_episode_is_not_its_end() -> None:
    """Reward 1 or 2 at random in every step: 1.5 γ / (1 − γ) more than the present one if episodes are cut, else 0."""
    obs = (torch.arange(400.0) % 2)[:, None]
    for terminal, more in ((0.0, 1.5 * GAMMA / (1 - GAMMA)), (1.0, 0.0)):
        steps = Steps(
            obs=obs,
            action=torch.zeros(400, 1),
            reward=1 + obs[:, 0],
            next_obs=obs[torch.randperm(400, generator=torch.Generator().manual_seed(0))],
            terminal=torch.full((400,), terminal),
            next_intended=torch.zeros(400, 1),
            next_executed=torch.zeros(400, 1),
            lengths=torch.ones(400, dtype=torch.long),
        )
        q = fitted(steps, "fqe")(torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1))
        torch.testing.assert_close(q, torch.tensor([1.0, 2.0]) + more, atol=0.3, rtol=0)


@pytest.mark.parametrize("seed", range(5))
@torch.no_grad()
def test_bounds_contain_every_sampled_value(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    network = Critics(3, 2, (16, 16), members=2, generator=generator)
    centre = torch.randn(10, 5, generator=generator)
    radius = torch.rand(10, 5, generator=generator)
    low, high = output_bounds(stacked(network.layers), centre, radius)
    assert low.shape == (2, 10)
    for _ in range(200):
        inside = centre + radius * (torch.rand(10, 5, generator=generator) * 2 - 1).sign()
        value = network(inside[:, :3], inside[:, 3:])
        assert bool(((low - 1e-5 <= value) & (value <= high + 1e-5)).all())


@torch.no_grad()
def test_bounds_of_one_layer_are_reached_and_those_of_a_point_are_the_value() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = Critics(1, 2, (), members=1, generator=generator)
    weight = stacked(layer.layers)[0].weight[0, :, 0]
    centre, radius = torch.randn(1, 3, generator=generator), torch.tensor([[0.5, 0.0, 2.0]])
    low, high = output_bounds(stacked(layer.layers), centre, radius)
    for bound, sign in ((low, -1), (high, 1)):
        corner = centre + sign * radius * weight.sign()
        assert float(bound) == pytest.approx(float(layer(corner[:, :1], corner[:, 1:])), abs=1e-6)
    deep = Critics(1, 2, (8, 8), members=3, generator=generator)
    low, high = output_bounds(stacked(deep.layers), centre, torch.zeros_like(centre))
    torch.testing.assert_close(low, deep(centre[:, :1], centre[:, 1:]))
    torch.testing.assert_close(high, low)


def test_the_ball_grows_over_the_middle_third() -> None:
    network = Critics(1, 1, (4,), members=1, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(2, 1)
    layers, q = stacked(network.layers), network(ones, ones)
    penalty = Robustness(weight=1.0, action_radius=0.5)
    sizes = [float(penalty(layers, ones, ones, q, progress).detach()) for progress in (0.0, 1 / 3, 0.5, 2 / 3, 1.0)]
    assert sizes[0] == sizes[1] == pytest.approx(0, abs=1e-12)
    assert 0 < sizes[2] < sizes[3] == pytest.approx(sizes[4])


def test_a_critic_cuts_actions_to_the_box_and_its_gradient_passes_the_cut() -> None:
    q = fitted(chain(), "fqe", replace(SMALL, steps=50))
    state, beyond = torch.eye(4)[:1], torch.tensor([[3.0]], requires_grad=True)
    value = q(state, beyond)
    assert float(value.detach()) == pytest.approx(float(q(state, torch.tensor([[1.0]]))))
    (gradient,) = torch.autograd.grad(value.sum(), beyond)
    assert float(gradient.abs()) > 0


def test_equal_seeds_give_equal_critics_and_members_differ() -> None:
    config = replace(SMALL, steps=30)
    first, again, other = (fitted(chain(), "fqe", replace(config, seed=seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["networks.layers.0.weight"], other["networks.layers.0.weight"])
    weight = first["networks.layers.0.weight"]
    assert not torch.equal(weight[0], weight[1])


def test_impossible_settings_and_a_divergence_are_told() -> None:
    for wrong in ({"gamma": 1.0}, {"steps": 0}, {"members": 0}, {"hidden": (8, 0)}):
        with pytest.raises(UserError) as error:
            Fit(**wrong)
        assert one_line(error.value)
    broken = replace(chain(), reward=torch.full((400,), float("nan")))
    with pytest.raises(UserError, match="diverged after 100 updates"):
        fitted(broken, "fqe", replace(SMALL, steps=100))


# ---- episodes


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return write_policy(tmp_path_factory.mktemp("victim") / "policy.safetensors").target


def test_recorded_steps_are_those_of_gymnasium(victim: Target) -> None:
    steps = roll_out(victim, HOPPER, [5, 6], (0.0, 0.3))
    env, row = make_env("Hopper-v4"), 0
    for seed, length in zip((5, 6), steps.lengths.tolist(), strict=True):
        obs, _ = env.reset(seed=seed)
        for time in range(length):
            assert steps.times[row] == time
            np.testing.assert_allclose(steps.obs[row], obs, atol=1e-5)
            obs, reward, terminated, truncated, _ = env.step(steps.action[row].numpy())
            np.testing.assert_allclose(steps.next_obs[row], obs, atol=1e-5)
            assert float(steps.reward[row]) == pytest.approx(float(reward), abs=1e-5)
            assert bool(steps.terminal[row]) == terminated
            row += 1
        assert terminated or truncated
    env.close()
    assert row == len(steps)


def test_noise_goes_round_and_an_episode_without_it_is_the_policys_own(victim: Target) -> None:
    steps = roll_out(victim, HOPPER, range(4), (0.0, 0.5))
    own = victim.policy(steps.obs).detach()
    ends = steps.lengths.cumsum(0).tolist()
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        difference = (steps.action - own)[start:end].abs().max()
        assert difference > 0.1 if number % 2 else difference < 1e-6
    alone = roll_out(victim, HOPPER, range(3))
    ends = alone.lengths.cumsum(0).tolist()
    sums = [float(alone.reward[start:end].sum()) for start, end in zip([0, *ends], ends, strict=False)]
    np.testing.assert_allclose(sums, clean_returns(victim.policy, HOPPER, 3, 0), rtol=1e-5)


def test_the_successor_is_the_same_episodes_next_step(victim: Target) -> None:
    steps = roll_out(victim, HOPPER, range(3), (0.3,))
    last = (steps.lengths.cumsum(0) - 1).tolist()
    for row in range(len(steps)):
        if row in last:
            torch.testing.assert_close(steps.next_executed[row], steps.next_intended[row])
        else:
            assert torch.equal(steps.next_executed[row], steps.action[row + 1])
            assert torch.equal(steps.next_obs[row], steps.obs[row + 1])
    torch.testing.assert_close(steps.next_intended, victim.policy(steps.next_obs).detach())


def test_an_episode_is_the_same_in_every_company(victim: Target) -> None:
    together, alone = roll_out(victim, HOPPER, [3, 4, 5], (0.2,)), roll_out(victim, HOPPER, [4], (0.2,))
    start, end = together.lengths.cumsum(0)[:2].tolist()
    assert torch.equal(together.obs[start:end], alone.obs)
    assert torch.equal(together.action[start:end], alone.action)


def test_nothing_of_the_victim_changes(victim: Target) -> None:
    policy = victim.policy
    assert isinstance(policy, torch.nn.Module)
    for parameter in policy.parameters():
        parameter.requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    steps = roll_out(victim, HOPPER, range(2), (0.0, 0.3))
    low, high = -torch.ones(3), torch.ones(3)
    q = fit(steps, METHODS["robust-sarsa"], Fit(steps=20, hidden=(8,)), low=low, high=high)
    of_actions(q, victim, HOPPER, steps, range(2), 0.99, torch.Generator().manual_seed(0))
    assert all(torch.equal(before[name], tensor) for name, tensor in policy.state_dict().items())
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_a_recurrent_victims_memory_is_part_of_the_state(tmp_path: Path) -> None:
    path = tmp_path / "lstm-Hopper.model"
    path.write_bytes(files.FILES["lstm.model"]())
    target = load(path).target
    assert target.memory is not None
    steps = roll_out(target, HOPPER, [0, 1])
    assert steps.obs.shape[1] == 11 + len(target.memory.start)
    assert torch.equal(steps.obs[0, 11:], target.memory.start)
    torch.testing.assert_close(steps.next_obs[0, 11:], target.memory.advance(steps.obs[:1], steps.obs[:1])[0].detach())


# ---- rows of datasets, returns


def test_returns_to_go_by_hand() -> None:
    steps = replace(chain(2), reward=torch.arange(1.0, 9), terminal=torch.tensor([0.0, 0, 0, 1, 0, 0, 0, 0]))
    returns, missing = returns_to_go(steps, 0.5)
    torch.testing.assert_close(returns, torch.tensor([3.25, 4.5, 5.0, 4.0, 10.75, 11.5, 11.0, 8.0]))
    torch.testing.assert_close(missing, torch.tensor([0.0, 0, 0, 0, 1 / 16, 1 / 8, 1 / 4, 1 / 2]))


def test_rows_of_a_dataset_follow_each_other_where_the_next_one_begins_where_they_end() -> None:
    rows = dataset(6)
    next_obs = np.concatenate([rows.obs[1:], rows.obs[:1]])
    next_obs[1] += 1  # a gap
    ended, cut = np.array([0, 0, 0, 1, 0, 0], bool), np.zeros(6, bool)
    steps = of_dataset(replace(rows, next_obs=next_obs, terminal=ended, timeout=cut), lambda obs: obs[:, :2] * 0)
    assert steps.lengths.tolist() == [2, 2, 2]
    assert torch.equal(steps.next_executed[[0, 2, 4]], torch.from_numpy(rows.action[[1, 3, 5]]))
    assert not steps.next_executed[[1, 3, 5]].any()


# ---- judging


def known(values: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda obs, action: values[: len(obs)]


def test_the_report_by_hand() -> None:
    steps = chain(50)
    returns, _ = returns_to_go(steps, GAMMA)
    exact, shifted = (on_policy(known(returns + shift), steps, GAMMA) for shift in (0.0, 3.0))
    assert (exact["r2"], exact["rmse"], exact["correlation"]) == pytest.approx((1, 0, 1))
    assert shifted["rmse"] == pytest.approx(3, rel=1e-5)
    assert [bias for bias in shifted["bias"] if bias] == pytest.approx([3.0] * 4, rel=1e-5)
    assert shifted["r2"] == pytest.approx(1 - 9 / float(returns.var(correction=0)), rel=1e-4)
    assert on_policy(known(torch.zeros(200)), steps, GAMMA)["correlation"] == 0


def test_returns_that_were_cut_off_are_filled_up_and_left_out_where_that_would_decide() -> None:
    steps = replace(chain(50), terminal=torch.zeros(200))
    tenth = on_policy(known(torch.full((200,), 7.0)), steps, 0.1)
    assert tenth["steps"] == 150  # the last step has a weight of 0.1 missing, the others 0.01 and less
    returns, _ = returns_to_go(steps, GAMMA)
    told = on_policy(known(torch.full((200,), 7.0)), steps, GAMMA)  # 0.66 and more are missing everywhere
    assert told["steps"] == 50
    assert told["return_mean"] == pytest.approx(float(returns[::4].mean()) + 7 * GAMMA**4, rel=1e-5)


def test_poor_critics_are_told() -> None:
    assert poor({"r2": 0.5}) == ""
    assert "is 0.30, below 0.5" in poor({"r2": 0.3})
    assert poor({"r2": -1.0})


def test_the_policys_own_action_gets_its_own_return(victim: Target) -> None:
    seeds, times = [7, 8], torch.tensor([2, 5])
    steps = roll_out(victim, HOPPER, seeds)
    rows = steps.lengths.cumsum(0) - steps.lengths + times
    tried = steps.action[rows][:, None].repeat(1, 2, 1)
    tried[:, 1] = torch.tensor([1.0, -1.0, 1.0])
    outcomes = _outcomes(victim, HOPPER, seeds, times, tried, 0.99)
    torch.testing.assert_close(outcomes[:, 0], returns_to_go(steps, 0.99)[0][rows], rtol=1e-4, atol=1e-4)
    assert (outcomes[:, 0] != outcomes[:, 1]).all()


def test_a_critic_that_knows_all_does_all_the_damage_and_its_opposite_none(
    victim: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, seeds = roll_out(victim, HOPPER, range(3)), range(3)
    truth = torch.tensor([[3.0, 1, 2, 5, 4, 8, 7, 6]]).repeat(3, 1)
    monkeypatch.setattr("microbench.critics.judging._outcomes", lambda *_: truth)
    for sign, ranking, least in ((1, 1.0, 1.0), (-1, -1.0, -1.0)):
        told = of_actions(
            known(sign * truth.flatten()), victim, HOPPER, steps, seeds, 0.99, torch.Generator().manual_seed(0)
        )
        assert told["ranking"] == pytest.approx(ranking)
        assert told["damage"] == pytest.approx(least)
