"""Fitted critics: known values on a chain and a linear system, and bounds that hold."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from microbench.critics import METHODS, Fit, FittedCritic, fit
from microbench.critics.bounds import output_bounds
from microbench.critics.robust_sarsa import Robustness
from microbench.critics.steps import Steps
from microbench.errors import UserError
from microbench.learning.networks import Critics, stacked
from microbench.tasks import find_task
from tests.microbench.critics.chains import GAMMA, chain
from tests.microbench.toys import one_line

HOPPER = find_task("Hopper-v4")
LOW, HIGH = torch.tensor([-1.0]), torch.tensor([1.0])
SMALL = Fit(gamma=GAMMA, steps=800, batch=64, members=2, hidden=(16, 16), tau=0.1, lr=1e-2)


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


def test_on_a_chain_with_known_values_the_sarsa_critic_recovers_them() -> None:
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
