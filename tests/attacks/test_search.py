"""Searches against known answers, and what every attack has to respect."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attacks import ATTACKS, BestOf, Descend, Noise, Objective, Random, Target, Threat, action_difference, value
from attacks.search import loss, loss_and_gradient
from tests.attacks.toys import SENSORS, WIDE_SCALE, Networks, linear_target, noise, observations, threat

NORMS = ["linf", "l2"]
SEARCHES = ["fgsm", "pgd", "min-q", "action-diff"]
every_attack = pytest.mark.parametrize("name", ATTACKS)
every_norm = pytest.mark.parametrize("norm", NORMS)


def bits(values: Tensor) -> Tensor:
    return values.contiguous().view(torch.int32)


def effect(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    return (value(target, obs, seen) - value(target, obs, obs)).detach()


# Known answers


@every_norm
@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_A18_a_linear_target_has_its_closed_form(name: str, norm: str) -> None:
    target, gradient = linear_target()
    obs, ball = observations(20), threat(0.3, wide=True, norm=norm)
    seen = ATTACKS[name](target, obs, ball, noise(20))
    scaled = WIDE_SCALE * gradient
    direction = scaled.sign() if norm == "linf" else scaled / scaled.norm()
    torch.testing.assert_close(seen, obs - 0.3 * WIDE_SCALE * direction, rtol=1e-5, atol=1e-5)


@every_norm
@pytest.mark.parametrize("name", ["random", "min-q", "action-diff"])
def test_no_other_attack_beats_the_closed_form(name: str, norm: str) -> None:
    target, gradient = linear_target()
    obs, ball = observations(200), threat(0.3, wide=True, norm=norm)
    optimum = -0.3 * (WIDE_SCALE * gradient).norm(p=1 if norm == "linf" else 2)
    reached = effect(target, obs, ATTACKS[name](target, obs, ball, noise(200)))
    assert reached.min() >= optimum - 1e-4
    assert reached.min() < 0


def test_A7_every_search_lowers_its_objective_on_a_linear_target() -> None:
    target, _ = linear_target()
    obs = observations(50)
    for name in ("fgsm", "pgd", "min-q"):
        assert (effect(target, obs, ATTACKS[name](target, obs, threat(), noise(50))) < 0).all()
    blind, _ = linear_target(critic=False)
    for name in ("fgsm", "pgd", "action-diff"):
        seen = ATTACKS[name](blind, obs, threat(), noise(50))
        assert (action_difference(blind, obs, seen) < 0).all()


def test_action_difference_of_a_linear_policy_ends_in_a_corner_and_finds_the_best_with_restarts() -> None:
    # ‖Wδ‖² is convex, so its maximum over the box is one of the 2⁵ corners.
    target, _ = linear_target(critic=False)
    obs, ball = torch.zeros(30, SENSORS), threat(0.3)
    corners = 0.3 * torch.tensor(list(product([-1.0, 1.0], repeat=SENSORS)))
    best = action_difference(target, torch.zeros_like(corners), corners).min()
    seen = ATTACKS["action-diff"](target, obs, ball, noise(30))
    assert (seen.abs() == 0.3).all()
    found = Descend(objective=action_difference, restarts=20)(target, obs, ball, noise(30))
    torch.testing.assert_close(action_difference(target, obs, found), best.expand(30))


@every_norm
def test_over_a_hundred_random_networks_pgd_beats_fgsm_beats_random(norm: str) -> None:
    mean = {name: 0.0 for name in ("random", "fgsm", "pgd")}
    for seed in range(100):
        target, obs = Networks(seed).target(), observations(8, seed)
        for name in mean:
            seen = ATTACKS[name](target, obs, threat(0.3, norm=norm), noise(8, first=seed))
            mean[name] += float(effect(target, obs, seen).mean()) / 100
    assert mean["pgd"] < mean["fgsm"] - 1e-4
    assert mean["fgsm"] < mean["random"] - 1e-2


@every_norm
def test_pgd_is_never_worse_than_its_starts_or_fgsm(norm: str) -> None:
    for seed in range(100):
        target, obs, ball = Networks(seed).target(), observations(8, seed), threat(1.0, norm=norm)
        reached = value(target, obs, ATTACKS["pgd"](target, obs, ball, noise(8)))
        start = ball.sample(obs, noise(8), 1)[:, 0]
        fgsm = ATTACKS["fgsm"](target, obs, ball, noise(8))
        for rival in (obs, start, fgsm):
            assert (reached <= value(target, obs, rival) + 1e-6).all()


def test_pgd_beats_the_published_search_on_curved_targets_too() -> None:
    gap = 0.0
    for seed in range(30):
        target, obs = Networks(seed).target(), observations(8, seed)
        reached = {name: ATTACKS[name](target, obs, threat(0.5), noise(8)) for name in ("pgd", "min-q")}
        gap += float((effect(target, obs, reached["min-q"]) - effect(target, obs, reached["pgd"])).mean())
    assert gap > 0.1


# What every attack has to respect


@every_norm
@every_attack
def test_eps_zero_is_the_identity_bit_for_bit(name: str, norm: str) -> None:
    obs = observations(5)
    obs[0, 0] = -0.0
    for target in (Networks().target(), linear_target()[0]):
        assert bits(ATTACKS[name](target, obs, threat(0.0, norm=norm), noise(5))).equal(bits(obs))


@settings(max_examples=40, deadline=None)
@given(
    eps=st.one_of(st.just(0.0), st.floats(1e-5, 3)),
    scale=st.lists(st.one_of(st.just(0.0), st.floats(0.05, 12)), min_size=SENSORS, max_size=SENSORS),
    size=st.sampled_from([1e-3, 1.0, 1e3]),
    norm=st.sampled_from(NORMS),
    seed=st.integers(0, 1000),
)
def test_A17_every_attack_stays_inside_with_the_shape_and_dtype_of_obs(
    eps: float, scale: list[float], size: float, norm: str, seed: int
) -> None:
    ball = Threat(eps=eps, scale=torch.tensor(scale), norm="l2" if norm == "l2" else "linf")
    target, obs = Networks(seed).target(), observations(3, seed) * size
    for attack in ATTACKS.values():
        seen = attack(target, obs, ball, noise(3, first=seed))
        assert seen.shape == obs.shape
        assert seen.dtype == obs.dtype
        assert ball.inside(obs, seen).all()
        assert seen[:, ball.scale == 0].equal(obs[:, ball.scale == 0])


def test_A17_a_foreign_attack_is_put_back_into_the_budget() -> None:
    obs = observations(4)
    seen = threat(0.1).project(obs, obs.double() * 100)
    assert threat(0.1).inside(obs, seen).all()
    assert seen.dtype == torch.float32


@every_attack
def test_A18_parameters_and_their_gradients_are_untouched(name: str) -> None:
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


@every_attack
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_gradient_mode_does_not_matter(name: str, mode: Callable[[], AbstractContextManager[None]]) -> None:
    target = Networks().target()
    expected = ATTACKS[name](target, observations(4), threat(), noise(4))
    with mode():
        seen = ATTACKS[name](target, observations(4), threat(), noise(4))
    assert seen.equal(expected)
    assert not seen.requires_grad


@every_norm
@every_attack
def test_A12_a_batch_equals_its_rows_one_by_one(name: str, norm: str) -> None:
    target, obs, eps = Networks(3).target(), observations(12), torch.linspace(0, 0.5, 12).unsqueeze(1)
    together = ATTACKS[name](target, obs, threat(eps, norm=norm), noise(12))
    alone = [
        ATTACKS[name](target, obs[[row]], threat(float(eps[row]), norm=norm), noise(1, first=row)) for row in range(12)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-6)


@every_attack
def test_A10_an_earlier_call_changes_nothing(name: str) -> None:
    target, attack = Networks().target(), ATTACKS[name]
    first, second = observations(4, seed=1), observations(4, seed=2)
    fresh = attack(target, second, threat(), noise(4))
    attack(target, first, threat(0.7), noise(4))
    assert attack(target, second, threat(), noise(4)).equal(fresh)


@every_attack
def test_the_same_seeds_give_the_same_attack_and_other_seeds_another(name: str) -> None:
    target, obs = Networks().target(), observations(4)
    seen = ATTACKS[name](target, obs, threat(), noise(4))
    assert seen.equal(ATTACKS[name](target, obs, threat(), noise(4)))
    if isinstance(ATTACKS[name], Random | BestOf):  # a descent may end in one corner from everywhere
        assert not seen.equal(ATTACKS[name](target, obs, threat(), noise(4, first=50)))


@every_attack
def test_A5_the_first_observation_of_an_episode_is_attacked_like_any_other(name: str) -> None:
    target, obs = Networks().target(), observations(8)
    first = ATTACKS[name](target, obs, threat(), noise(8))
    assert (first != obs).any(1).all()


def test_A14_sensors_and_rows_and_steps_draw_different_noise() -> None:
    target, obs, source = Networks().target(), torch.zeros(8, SENSORS), noise(8)
    draws = torch.stack([ATTACKS["random"](target, obs, threat(), source) for _ in range(3)])
    assert len(set(draws.flatten().tolist())) == draws.numel()


@every_attack
def test_a_batch_without_rows_stays_empty(name: str) -> None:
    seen = ATTACKS[name](Networks().target(), observations(0), threat(), noise(0))
    assert seen.shape == (0, SENSORS)


# Best of n


@dataclass
class Recorder:
    """An objective that remembers which points it was asked about."""

    seen: list[Tensor] = field(default_factory=list)

    def __call__(self, target: Target, obs: Tensor, seen: Tensor) -> Tensor:
        self.seen.append(seen)
        return (seen - obs).sum(-1)


def test_A13_best_of_returns_the_best_candidate_of_each_row() -> None:
    obs, target = observations(10), Networks().target()
    candidates = threat().sample(obs, noise(10), 7)
    expected = candidates[torch.arange(10), (candidates - obs.unsqueeze(1)).sum(-1).argmin(1)]
    found = BestOf(objective=Recorder(), n=7, include_clean=False)(target, obs, threat(), noise(10))
    assert found.equal(expected)


def test_min_q_asks_for_50_points_of_its_own_per_row_and_the_clean_one() -> None:
    recorder, obs = Recorder(), observations(10)
    BestOf(objective=recorder)(Networks().target(), obs, threat(), noise(10))
    points = torch.cat(recorder.seen)[:510].reshape(10, 51, SENSORS)
    assert points[:, 0].equal(obs)
    offsets = (points[:, 1:] - obs.unsqueeze(1)).reshape(500, SENSORS)
    assert len(set(map(tuple, offsets.tolist()))) == 500
    assert ATTACKS["min-q"] == BestOf(objective=value, n=50, include_clean=True)


def test_the_clean_point_is_kept_if_nothing_is_better() -> None:
    def distance(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
        return (seen - obs).abs().sum(-1)

    obs, target = observations(10), Networks().target()
    assert BestOf(objective=distance)(target, obs, threat(), noise(10)).equal(obs)
    assert Descend(objective=distance)(target, obs, threat(), noise(10)).equal(obs)


def test_many_candidates_are_scored_in_parts() -> None:
    recorder, obs = Recorder(), observations(100)
    BestOf(objective=recorder)(Networks().target(), obs, threat(), noise(100))
    assert [len(part) for part in recorder.seen] == [2552, 2552]  # 5100 points in halves of whole blocks


@pytest.mark.parametrize(("rows", "blocks"), [(1, 8), (3, 8), (8, 8), (11, 16)])
def test_rows_are_padded_to_whole_blocks_and_padding_is_dropped(rows: int, blocks: int) -> None:
    recorder, obs = Recorder(), torch.zeros(rows, SENSORS)
    seen = torch.arange(float(rows)).unsqueeze(1).expand(rows, SENSORS)
    expected = [SENSORS * row for row in range(rows)]
    assert loss(recorder, Networks().target(), obs, seen).tolist() == expected
    values, gradient = loss_and_gradient(recorder, Networks().target(), obs, seen)
    assert values.tolist() == expected
    assert gradient.equal(torch.ones(rows, SENSORS))
    assert [len(part) for part in recorder.seen] == [blocks, blocks]


# Descent


def descended(gradient: Tensor, start: Tensor, ball: Threat, search: Descend) -> Tensor:
    """Return where the search ends from start (B, S) on the linear objective ⟨gradient, seen⟩."""
    target, obs = linear_target()[0], torch.zeros_like(start)
    return search.descend(lambda target, obs, seen: seen @ gradient, target, obs, start, ball)[0]


@every_norm
def test_A1_every_corner_can_be_reached_whatever_the_scale(norm: str) -> None:
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
def test_A1_a_step_never_exceeds_the_width_of_the_ball(norm: str, steps: int) -> None:
    ball, gradient = threat(0.1, wide=True, norm=norm), observations(64)
    step = Descend(steps=steps).length * ball.steepest(gradient)
    assert (step.abs() <= 2 * ball.half_width * 1.0001).all()


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 40])
def test_A2_from_plus_eps_the_search_can_reach_minus_eps(steps: int) -> None:
    ball = threat(0.1, wide=True)
    start = ball.half_width.unsqueeze(0)
    end = descended(torch.ones(SENSORS), start, ball, Descend(steps=steps, snap=False))
    torch.testing.assert_close(end, -start)


@pytest.mark.parametrize("name", ["fgsm", "pgd", "action-diff"])
def test_A3_action_difference_leaves_the_clean_point(name: str) -> None:
    target, obs = Networks().target(critic=False), observations(20)
    seen = ATTACKS[name](target, obs, threat(), noise(20))
    assert (action_difference(target, obs, seen) < -1e-6).all()


@pytest.mark.parametrize("name", ["fgsm", "pgd", "min-q"])
def test_A4_the_critic_judges_clean_states_and_the_policy_sees_attacked_ones(name: str) -> None:
    networks, obs = Networks(), observations(8)
    ATTACKS[name](networks.target(), obs, threat(), noise(8))
    assert networks.judged
    for judged, shown in zip(networks.judged, networks.shown, strict=True):
        # every judged row is one of the clean observations, bit for bit
        assert (judged.unsqueeze(1) == obs.unsqueeze(0)).all(-1).any(1).all()
        assert (shown - judged).abs().max() <= 0.1 + 1e-6
    assert any(not shown.equal(judged) for judged, shown in zip(networks.judged, networks.shown, strict=True))


def test_A11_points_along_the_way_are_copies() -> None:
    ball, start = threat(0.1), torch.zeros(1, SENSORS)
    one = descended(torch.ones(SENSORS), start, ball, Descend(steps=1, step_size=0.25, snap=False))
    two = descended(torch.ones(SENSORS), start, ball, Descend(steps=2, step_size=0.25, snap=False))
    assert start.eq(0).all()
    torch.testing.assert_close(one, torch.full_like(one, -0.025))
    torch.testing.assert_close(two, torch.full_like(two, -0.05))


def test_a_row_keeps_the_best_point_it_visited() -> None:
    # f(x) = |x − 0.05| per sensor: the first full step from 0 overshoots to +0.1, no better than the start.
    def valley(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
        return (seen[:, 0] - 0.04).abs()

    obs = torch.zeros(1, SENSORS)
    seen = Descend(objective=valley, steps=1, step_size=1.0, restarts=0)(linear_target()[0], obs, threat(), noise(1))
    assert seen.equal(obs)


def test_restarts_find_a_valley_that_the_clean_point_does_not_see() -> None:
    # Flat around the clean point, deep beyond 0.05: no gradient at 0, but some random starts have one.
    def hidden_valley(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
        return -torch.relu(seen[:, 0] - 0.05)

    obs, target = torch.zeros(20, SENSORS), linear_target()[0]
    blind = Descend(objective=hidden_valley, restarts=0)(target, obs, threat(), noise(20))
    found = Descend(objective=hidden_valley, restarts=20)(target, obs, threat(), noise(20))
    assert blind[:, 0].eq(0).all()
    torch.testing.assert_close(found[:, 0], torch.full((20,), 0.1))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"restarts": -1}, {"step_size": 0.0}, {"step_size": 2.5}])
def test_a_wrong_descent_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"steps >= 1|step_size is in units of eps"):
        Descend(**wrong)


def test_best_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 candidate"):
        BestOf(n=0)


def test_searches_read_as_what_they_do() -> None:
    assert repr(Random()) == "Random(draw='uniform')"
    assert repr(Descend(steps=3)) == "Descend(objective=None, steps=3, step_size=None, restarts=1, snap=True)"
    assert "action_difference" in repr(ATTACKS["action-diff"])


def test_a_missing_critic_names_the_way_out() -> None:
    with pytest.raises(ValueError, match="use --attack action-diff"):
        ATTACKS["min-q"](Networks().target(critic=False), observations(2), threat(), noise(2))


@pytest.mark.parametrize(
    "policy", [lambda obs: obs.detach() * 2, lambda obs: torch.ones_like(obs, requires_grad=True) * 2]
)
def test_A6_a_missing_input_gradient_is_explained(policy: Callable[[Tensor], Tensor]) -> None:
    target = Target(policy=policy, critic=lambda obs, action: action.sum(-1), obs_scale={})
    with pytest.raises(ValueError, match=r"does not depend differentiably.*use --attack random or min-q"):
        ATTACKS["fgsm"](target, observations(2), threat(), noise(2))


@pytest.mark.parametrize("name", ["fgsm", "pgd", "min-q"])
def test_a_critic_with_a_trailing_axis_is_refused(name: str) -> None:
    target = Target(policy=torch.tanh, critic=lambda obs, action: action.sum(-1, keepdim=True), obs_scale={})
    with pytest.raises(ValueError, match=r"check that the critic returns \(B,\)"):
        ATTACKS[name](target, observations(9), threat(), noise(9))


def test_a_point_without_a_number_is_never_chosen() -> None:
    def broken(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
        return torch.where(seen[:, 0] > obs[:, 0], torch.nan, seen.sum(-1))

    obs, target = torch.zeros(10, SENSORS), linear_target()[0]
    for search in (BestOf(objective=broken), Descend(objective=broken)):
        seen = search(target, obs, threat(), noise(10))
        assert seen.isfinite().all()
        assert (seen[:, 0] <= 0).all()
        assert (seen.sum(-1) < 0).all()


@pytest.mark.parametrize("objective", [value, action_difference])
def test_A18_gradients_are_those_of_finite_differences(objective: Objective) -> None:
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


def test_noise_of_one_step_never_depends_on_the_other_rows() -> None:
    # Row 1 leaves the batch after the first step: row 2 must go on as if it were alone.
    target, obs = Networks().target(), observations(3)
    source, alone = noise(3), Noise.from_seeds([2])
    ATTACKS["random"](target, obs, threat(), source)
    ATTACKS["random"](target, obs[[2]], threat(), alone)
    rest = ATTACKS["random"](target, obs[[0, 2]], threat(), source.rows([0, 2]))
    assert rest[[1]].equal(ATTACKS["random"](target, obs[[2]], threat(), alone))
