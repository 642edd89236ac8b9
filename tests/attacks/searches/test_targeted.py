"""Towards an action: the worst one is a corner of the box for a critic that is linear in the action."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch

from attacks import ATTACKS, Target, Targeted, Threat, resolve
from attacks.searches.targeted import worst_action
from tests.attacks.toys import ACTIONS, SENSORS, Networks, noise, observations, threat

LOW, HIGH = torch.tensor([-1.0, -0.4]), torch.tensor([1.0, 2.0])


def plain(**parts: Any) -> Target:
    """π(s) = (s₀, s₁), so that an observation aims at an action by itself."""
    return replace(Target(policy=lambda obs: obs[:, :2], obs_scale={}, action_box=(LOW, HIGH)), **parts)


def test_the_worst_action_of_a_linear_critic_is_a_corner_that_depends_on_the_state() -> None:
    target = plain(critic=lambda obs, action: (obs[:, :2] * action).sum(-1))
    obs = observations(30)
    expected = torch.where(obs[:, :2] > 0, LOW, HIGH)
    torch.testing.assert_close(worst_action(target, obs, noise(30)), expected, rtol=0, atol=1e-6)


def test_the_worst_action_of_a_valley_lies_inside_the_box() -> None:
    bottom = torch.tensor([0.25, 1.1])
    target = plain(critic=lambda obs, action: (action - bottom).square().sum(-1))
    action = worst_action(target, observations(20), noise(20), steps=200)
    assert (action - bottom).abs().max() < 0.02


def test_the_worst_action_of_networks_is_near_that_of_a_fine_grid() -> None:
    grid = torch.tensor(list(product(torch.linspace(-1, 1, 41).tolist(), repeat=ACTIONS)))
    gaps = []
    for seed in range(20):
        target, obs = Networks(seed).target(), observations(4, seed)
        critic = target.require_critic()
        best = torch.stack([critic(row.expand(len(grid), -1), grid).min() for row in obs])
        spread = torch.stack([critic(row.expand(len(grid), -1), grid).std() for row in obs])
        gaps.append((critic(obs, worst_action(target, obs, noise(4))) - best) / spread)
    assert torch.cat(gaps).median() < 0.01
    assert torch.cat(gaps).mean() < 0.1


def test_the_observation_goes_as_far_towards_the_action_as_the_budget_lets_it() -> None:
    seen = Targeted(action="0.9 -0.03")(plain(), torch.zeros(4, SENSORS), threat(0.1), noise(4))
    torch.testing.assert_close(seen[:, 0], torch.full((4,), 0.1))  # 0.9 is too far
    assert (seen[:, 1] + 0.03).abs().max() < 0.026  # within a step of 0.025


def test_targeted_by_the_critic_pushes_towards_its_worst_action() -> None:
    target = plain(critic=lambda obs, action: action[:, 0] - action[:, 1])
    seen = ATTACKS["targeted"](target, torch.zeros(4, SENSORS), threat(0.1), noise(4))
    torch.testing.assert_close(seen[:, :2], torch.tensor([[-0.1, 0.1]]).expand(4, -1))


def test_a_memory_and_a_hidden_sensor_are_left_alone_and_bounds_hold() -> None:
    ball = Threat(eps=0.1, scale=torch.tensor([1.0, 0.0, 0.0]), low=-torch.ones(3), high=torch.full((3,), 0.05))
    obs = torch.tensor([[0.0, 0.2, 9.0]])
    assert Targeted(action=1.0)(plain(), obs, ball, noise(1)).equal(torch.tensor([[0.05, 0.2, 9.0]]))


def test_actions_in_texts() -> None:
    assert resolve("targeted(action=1)") == Targeted(action=1.0)
    assert resolve('targeted(action="1 -1",steps=5)') == Targeted(action="1 -1", steps=5)
    for text in ("targeted(action=up)", 'targeted(action="")', 'targeted(action="1 inf")', "targeted(action=true)"):
        with pytest.raises(ValueError, match=r"is no action; write its numbers|wrong kind"):
            resolve(text)
    with pytest.raises(ValueError, match="steps >= 1"):
        Targeted(steps=0)


def test_what_is_missing_or_does_not_fit_is_said() -> None:
    obs = observations(2)
    with pytest.raises(ValueError, match=r"has 3 numbers, the policy's have 2"):
        Targeted(action="1 1 1")(plain(), obs, threat(), noise(2))
    with pytest.raises(ValueError, match="no critic"):
        Targeted()(plain(), obs, threat(), noise(2))
    judged = plain(critic=lambda obs, action: action.sum(-1), action_box=None)
    with pytest.raises(ValueError, match=r"does not say its action box; name an action, as in targeted\(action=1\)"):
        Targeted()(judged, obs, threat(), noise(2))
    assert Targeted().needs(judged) == ("critic", "action_box", "gradients")
    assert Targeted(action=0.0).needs(judged) == ("gradients",)
