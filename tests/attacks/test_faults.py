"""One regression test per known fault of earlier attack code; docs/deviations.md says where each was found.

Those of whole episodes and of the critic that is asked are in tests/microbench.
"""

import copy
import random
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attacks import (
    ATTACKS,
    BestOf,
    Descend,
    Noise,
    Objective,
    Target,
    Threat,
    action_difference,
    action_kl,
    q_std,
    value,
)
from attacks.checks import zero_gradient
from attacks.searches.sampling import loss, loss_and_gradient
from tests.attacks.toys import (
    ACTIONS,
    SENSORS,
    WIDE_SCALE,
    Networks,
    Recorder,
    descended,
    gaussian_target,
    linear_target,
    noise,
    observations,
    threat,
)

NORMS = ["linf", "l2"]
CLOSED_FORM = ["fgsm", "pgd", "pgd-restarts", "min-q-gradient", "min-q-mixed", "q-mean"]
every_attack = pytest.mark.parametrize("name", ATTACKS)
every_norm = pytest.mark.parametrize("norm", NORMS)


@every_norm
def test_every_corner_can_be_reached_whatever_the_scale(norm: str) -> None:
    ball, search = threat(0.1, wide=True, norm=norm), Descend(snap=False)
    start = ball.sample(torch.zeros(1, SENSORS), noise(1), 32)[0]
    for signs in product([-1.0, 1.0], repeat=SENSORS):
        gradient = torch.tensor(signs) / WIDE_SCALE  # all sensors weigh the same in units of eps
        corner = ball.steepest(gradient.unsqueeze(0))
        if norm == "linf":
            torch.testing.assert_close(descended(gradient, start, ball, search), corner.expand_as(start))
        else:  # ten straight steps slide along a sphere towards its pole without ending exactly there
            reached = descended(gradient, start, ball, search) @ gradient
            assert (reached / (corner @ gradient)).min() > 0.95


@every_norm
@pytest.mark.parametrize("steps", [1, 2, 10, 40])
def test_a_step_never_exceeds_the_width_of_the_ball(norm: str, steps: int) -> None:
    ball, gradient = threat(0.1, wide=True, norm=norm), observations(64)
    step = Descend(steps=steps).length * ball.steepest(gradient)
    assert (step.abs() <= 2 * ball.half_width * 1.0001).all()


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 40])
def test_from_plus_eps_the_search_can_reach_minus_eps(steps: int) -> None:
    ball = threat(0.1, wide=True)
    start = ball.half_width.unsqueeze(0)
    end = descended(torch.ones(SENSORS), start, ball, Descend(steps=steps, snap=False))
    torch.testing.assert_close(end, -start)


@pytest.mark.parametrize("name", ["fgsm", "pgd", "pgd-restarts", "action-diff"])
def test_action_difference_leaves_the_clean_point(name: str) -> None:
    target, obs = Networks().target(critic=False), observations(20)
    seen = ATTACKS[name](target, obs, threat(), noise(20))
    assert (action_difference(target, obs, seen) < -1e-6).all()


def test_a_divergence_leaves_the_clean_point_too() -> None:
    target, obs = Networks().target(), observations(20)
    for name in ("action-kl", "compat:rorl-action-diff-first", "compat:sa-ppo-mad"):
        seen = ATTACKS[name](target, obs, threat(), noise(20))
        assert (action_kl(target, obs, seen) < -1e-6).all(), name


def test_a_distance_has_zero_gradient_at_the_clean_point_only() -> None:
    target, obs = Networks().target(), observations(9)
    assert zero_gradient(action_difference, target, obs).all()
    assert not zero_gradient(action_difference, target, obs, obs + 0.1).any()
    assert not zero_gradient(value, target, obs).any()


@pytest.mark.parametrize("name", ["fgsm", "pgd", "min-q", "min-q-gradient", "min-q-mixed", "q-mean", "q-std"])
def test_the_critic_judges_clean_states_and_the_policy_sees_attacked_ones(name: str) -> None:
    networks, obs = Networks(), observations(8)
    ATTACKS[name](networks.target(), obs, threat(), noise(8))
    assert networks.judged
    for judged, shown in zip(networks.judged, networks.shown, strict=True):
        # every judged row is one of the clean observations, bit for bit
        assert (judged.unsqueeze(1) == obs.unsqueeze(0)).all(-1).any(1).all()
        assert (shown - judged).abs().max() <= 0.1 + 1e-6
    assert any(not shown.equal(judged) for judged, shown in zip(networks.judged, networks.shown, strict=True))


def test_a_spy_critic_sees_only_clean_observations() -> None:
    networks, obs, seen = Networks(), observations(6), observations(6, seed=1)
    value(networks.target(), obs, seen)
    assert [shown.equal(seen) for shown in networks.shown] == [True]
    assert [judged.equal(obs) for judged in networks.judged] == [True]


@every_attack
def test_the_first_observation_of_an_episode_is_attacked_like_any_other(name: str) -> None:
    target, obs = Networks().target(), observations(8)
    first = ATTACKS[name](target, obs, threat(), noise(8))
    assert (first != obs).any(1).all()


@pytest.mark.parametrize(
    "policy", [lambda obs: obs.detach() * 2, lambda obs: torch.ones_like(obs, requires_grad=True) * 2]
)
def test_a_missing_input_gradient_is_explained(policy: Callable[[Tensor], Tensor]) -> None:
    target = Target(policy=policy, critic=lambda obs, action: action.sum(-1), obs_scale={})
    with pytest.raises(ValueError, match=r"is not differentiable.*use the attack random or min-q"):
        ATTACKS["fgsm"](target, observations(2), threat(), noise(2))


def test_only_the_executed_action_matters() -> None:
    obs, seen = observations(6), observations(6, seed=1)
    narrow, spread = gaussian_target(log_std=-3.0), gaussian_target(log_std=1.0)
    assert action_difference(narrow, obs, seen).equal(action_difference(spread, obs, seen))
    assert not action_kl(narrow, obs, seen).allclose(action_kl(spread, obs, seen))
    other, _ = linear_target(seed=1)
    assert not action_difference(narrow, obs, seen).allclose(action_difference(other, obs, seen))


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9])
@pytest.mark.parametrize("members", [2, 3, 10])
def test_the_spread_of_critics_is_finite_for_every_batch_and_refuses_a_single_one(rows: int, members: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    prices = torch.randn(members, ACTIONS, generator=generator)

    def ensemble(count: int) -> Target:
        return Target(policy=torch.tanh, critics=lambda obs, action: prices[:count] @ action.T, obs_scale={})

    obs = torch.randn(rows, ACTIONS, generator=generator)
    spread = q_std(ensemble(members), obs, obs)
    assert spread.tolist() == pytest.approx((-(prices @ torch.tanh(obs).T).std(0, correction=0)).tolist(), abs=1e-6)
    with pytest.raises(ValueError, match=r"needs at least two of them, this ensemble has one; use the attack min-q"):
        q_std(ensemble(1), obs, obs)
    blind = Target(policy=torch.tanh, obs_scale={})
    with pytest.raises(ValueError, match="needs several critics"):
        ATTACKS["q-std"](blind, obs, Threat(eps=0.1, scale=torch.ones(ACTIONS)), noise(rows))


@every_attack
def test_an_earlier_call_changes_nothing(name: str) -> None:
    target, attack = Networks().target(), ATTACKS[name]
    first, second = observations(4, seed=1), observations(4, seed=2)
    fresh = attack(target, second, threat(), noise(4))
    attack(target, first, threat(0.7), noise(4))
    assert attack(target, second, threat(), noise(4)).equal(fresh)


def test_points_along_the_way_are_copies() -> None:
    ball, start = threat(0.1), torch.zeros(1, SENSORS)
    one = descended(torch.ones(SENSORS), start, ball, Descend(steps=1, step_size=0.25, snap=False))
    two = descended(torch.ones(SENSORS), start, ball, Descend(steps=2, step_size=0.25, snap=False))
    assert start.eq(0).all()
    torch.testing.assert_close(one, torch.full_like(one, -0.025))
    torch.testing.assert_close(two, torch.full_like(two, -0.05))


@every_norm
@every_attack
def test_a_batch_equals_its_rows_one_by_one(name: str, norm: str) -> None:
    target, obs, eps = Networks(3).target(), observations(12), torch.linspace(0, 0.5, 12).unsqueeze(1)
    together = ATTACKS[name](target, obs, threat(eps, norm=norm), noise(12))
    alone = [
        ATTACKS[name](target, obs[[row]], threat(float(eps[row]), norm=norm), noise(1, first=row)) for row in range(12)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-6)


def test_best_of_returns_the_best_candidate_of_each_row() -> None:
    obs, target = observations(10), Networks().target()
    candidates = threat().sample(obs, noise(10), 7)
    expected = candidates[torch.arange(10), (candidates - obs.unsqueeze(1)).sum(-1).argmin(1)]
    seen = BestOf(objective=Recorder(), n=7, include_clean=False)(target, obs, threat(), noise(10))
    assert seen.equal(expected)


def test_sensors_and_rows_and_steps_draw_different_noise() -> None:
    target, obs, source = Networks().target(), torch.zeros(8, SENSORS), noise(8)
    draws = torch.stack([ATTACKS["random"](target, obs, threat(), source) for _ in range(3)])
    assert len(set(draws.flatten().tolist())) == draws.numel()


def test_attacks_leave_the_global_generators_alone() -> None:
    target = Networks().target()
    before, python = torch.random.get_rng_state(), random.getstate()
    for attack in ATTACKS.values():
        attack(target, torch.zeros(2, 5), Threat(eps=0.1, scale=torch.ones(5)), Noise.from_seeds([0, 1]))
    assert torch.random.get_rng_state().equal(before)
    assert random.getstate() == python


def test_a_divergence_of_a_deterministic_policy_is_refused() -> None:
    obs = observations(2)
    with pytest.raises(ValueError, match="only has a deterministic action"):
        action_kl(Networks().target(critic=False), obs, obs)


@settings(max_examples=15, deadline=None)
@given(
    eps=st.one_of(st.just(0.0), st.floats(1e-5, 3)),
    scale=st.lists(st.one_of(st.just(0.0), st.floats(0.05, 12)), min_size=SENSORS, max_size=SENSORS),
    size=st.sampled_from([1e-3, 1.0, 1e3]),
    norm=st.sampled_from(NORMS),
    bounded=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_attack_stays_inside_with_the_shape_and_dtype_of_obs(
    eps: float, scale: list[float], size: float, norm: str, bounded: bool, seed: int
) -> None:
    """With hidden sensors, in both norms, within the range of the data or without, with a budget per row."""
    budget = eps * torch.tensor([[1.0], [0.0], [0.3]])
    low, high = (torch.full((SENSORS,), end) if bounded else None for end in (-1.0, 0.5))
    ball = Threat(eps=budget, scale=torch.tensor(scale), norm="l2" if norm == "l2" else "linf", low=low, high=high)
    target, obs = Networks(seed).target(), observations(3, seed) * size
    for attack in ATTACKS.values():
        seen = attack(target, obs, ball, noise(3, first=seed))
        assert seen.shape == obs.shape
        assert seen.dtype == obs.dtype
        assert ball.inside(obs, seen).all()
        assert seen[:, ball.scale == 0].equal(obs[:, ball.scale == 0])
        assert seen[1].equal(obs[1])
        if bounded:  # nothing is shown farther out than it is
            assert ((seen >= obs.clamp(max=-1.0)) & (seen <= obs.clamp(min=0.5))).all()


def test_a_foreign_attack_is_put_back_into_the_budget() -> None:
    obs = observations(4)
    seen = threat(0.1).project(obs, obs.double() * 100)
    assert threat(0.1).inside(obs, seen).all()
    assert seen.dtype == torch.float32


@every_norm
@pytest.mark.parametrize("name", CLOSED_FORM)
def test_a_linear_target_has_its_closed_form(name: str, norm: str) -> None:
    target, gradient = linear_target()
    obs, ball = observations(20), threat(0.3, wide=True, norm=norm)
    seen = ATTACKS[name](target, obs, ball, noise(20))
    scaled = WIDE_SCALE * gradient
    direction = scaled.sign() if norm == "linf" else scaled / scaled.norm()
    torch.testing.assert_close(seen, obs - 0.3 * WIDE_SCALE * direction, rtol=1e-5, atol=1e-5)


@every_attack
def test_parameters_and_their_gradients_are_untouched(name: str) -> None:
    networks, obs = Networks(), observations(4)
    parameters = [*networks.actor.parameters(), *networks.value.parameters()]
    parameters[0].grad = torch.full_like(parameters[0], 7.0)
    before = copy.deepcopy(parameters)
    clean = obs.clone()
    ATTACKS[name](networks.target(), obs, threat(), noise(4))
    assert all(now.equal(then) for now, then in zip(parameters, before, strict=True))
    assert parameters[0].grad.eq(7.0).all()
    assert all(parameter.grad is None for parameter in parameters[1:])
    assert obs.equal(clean)
    assert not obs.requires_grad


@pytest.mark.parametrize("objective", [value, action_difference])
def test_gradients_are_those_of_finite_differences(objective: Objective) -> None:
    networks, obs = Networks(), observations(4).double()
    networks.actor.double()
    networks.value.double()
    target, seen, tiny = networks.target(), observations(4).double() + 0.1, 1e-6
    _, gradient = loss_and_gradient(objective, target, obs, seen)
    for i in range(SENSORS):
        step = torch.zeros(SENSORS, dtype=torch.float64)
        step[i] = tiny
        slope = (loss(objective, target, obs, seen + step) - loss(objective, target, obs, seen - step)) / (2 * tiny)
        torch.testing.assert_close(gradient[:, i], slope, rtol=1e-6, atol=1e-8)
