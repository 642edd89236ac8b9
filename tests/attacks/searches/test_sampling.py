"""Searches against known answers, and what every attack has to respect."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks import ATTACKS, BestOf, Descend, Noise, Random, Target, action_difference, value
from attacks.searches.sampling import loss, loss_and_gradient
from tests.attacks.toys import (
    ACTIONS,
    SENSORS,
    WIDE_SCALE,
    Networks,
    Recorder,
    linear_target,
    noise,
    observations,
    threat,
)

NORMS = ["linf", "l2"]
BLIND = ["q-std", "compat:rorl-q-std"]  # on two equal critics, whose spread is 0 everywhere
SEARCHES = ["fgsm", "pgd", "min-q", "action-diff"]
every_attack = pytest.mark.parametrize("name", ATTACKS)
every_norm = pytest.mark.parametrize("norm", NORMS)


def bits(values: Tensor) -> Tensor:
    return values.contiguous().view(torch.int32)


def effect(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    return (value(target, obs, seen) - value(target, obs, obs)).detach()


# Known answers


@every_norm
@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_beats_the_closed_form(name: str, norm: str) -> None:
    target, gradient = linear_target()
    obs, ball = observations(200), threat(0.3, wide=True, norm=norm)
    optimum = -0.3 * (WIDE_SCALE * gradient).norm(p=1 if norm == "linf" else 2)
    reached = effect(target, obs, ATTACKS[name](target, obs, ball, noise(200)))
    assert reached.min() >= optimum * 1.0001 - 1e-4
    assert reached.min() < 0 or name in BLIND


def test_every_search_lowers_its_objective_on_a_linear_target() -> None:
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
    seen = Descend(objective=action_difference, restarts=20)(target, obs, ball, noise(30))
    torch.testing.assert_close(action_difference(target, obs, seen), best.expand(30))


@every_norm
def test_over_a_hundred_random_networks_pgd_beats_fgsm_beats_random(norm: str) -> None:
    mean = {name: 0.0 for name in ("random", "fgsm", "pgd", "pgd-restarts")}
    for seed in range(100):
        target, obs = Networks(seed).target(), observations(8, seed)
        for name in mean:
            seen = ATTACKS[name](target, obs, threat(0.3, norm=norm), noise(8, first=seed))
            mean[name] += float(effect(target, obs, seen).mean()) / 100
    assert mean["pgd-restarts"] < mean["pgd"]
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


def valley(obs: Tensor, action: Tensor) -> Tensor:
    """Lowest at a = 0.1 on each side of which it rises, so that a full step from 0 goes too far."""
    return (action - 0.1).square().sum(-1)


def test_fgsm_leaves_the_clean_point_where_its_step_lowers_nothing() -> None:
    """From 0 the published full step ends at 1 with a value of 0.81 per action, and 0 has 0.01."""
    target = Target(policy=lambda obs: obs[:, :ACTIONS], critic=valley, obs_scale={"raw": torch.ones(SENSORS)})
    obs, ball = torch.zeros(4, SENSORS), threat(1.0)
    published = obs + ball.steepest(loss_and_gradient(value, target, obs, obs)[1])
    assert value(target, obs, published).tolist() == pytest.approx([0.81 * ACTIONS] * 4)
    assert ATTACKS["fgsm"](target, obs, ball, noise(4)).equal(obs)
    nearer = ATTACKS["fgsm"](target, obs, threat(0.15), noise(4))
    assert value(target, obs, nearer).tolist() == pytest.approx([0.0025 * ACTIONS] * 4)


@every_norm
@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if isinstance(attack, Descend)])
def test_no_descent_ends_above_a_start_of_its_own(name: str, norm: str) -> None:
    attack = ATTACKS[name]
    assert isinstance(attack, Descend)
    for seed in range(10):
        target, obs, ball = Networks(seed).target(), observations(8, seed), threat(2.0, norm=norm)
        objective = attack.objective_for(target)
        reached = objective(target, obs, attack(target, obs, ball, noise(8)))
        assert (reached <= objective(target, obs, obs) + 1e-6).all()
        if not attack.candidates and (attack.restarts or objective is action_difference):
            drawn = ball.sample(obs, noise(8), max(1, attack.restarts))[:, 0]
            assert (reached <= objective(target, obs, drawn) + 1e-6).all()


@every_norm
def test_the_mixed_order_is_never_worse_than_its_best_candidates(norm: str) -> None:
    for seed in range(30):
        target, obs, ball = Networks(seed).target(), observations(8, seed), threat(1.0, norm=norm)
        reached = value(target, obs, ATTACKS["min-q-mixed"](target, obs, ball, noise(8)))
        corners = BestOf(objective=value, n=50, draw="corner")(target, obs, ball, noise(8))
        assert (reached <= value(target, obs, corners) + 1e-6).all()


def test_candidates_are_where_the_descent_starts() -> None:
    # A staircase without slope: what is found is the best of the points that were drawn.
    def stairs(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
        return (seen[:, 0] * 100).floor() + 0 * seen.sum(-1)

    obs, target = torch.zeros(20, SENSORS), linear_target()[0]
    drawn = threat().sample(obs, noise(20), 30)
    search = Descend(objective=stairs, restarts=2, candidates=30, snap=False)
    seen = search(target, obs, threat(), noise(20))
    lowest = (drawn[..., 0] * 100).floor().amin(1)
    assert stairs(target, obs, seen).equal(lowest)
    assert (lowest < 0).all()


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
    free = threat(0.0, norm=norm)
    ranged = replace(free, low=torch.full((SENSORS,), -0.2), high=torch.full((SENSORS,), 0.3))  # obs lies beyond them
    for target in (Networks().target(), linear_target()[0]):
        for ball in (free, ranged):
            assert bits(ATTACKS[name](target, obs, ball, noise(5))).equal(bits(obs))


@every_attack
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_gradient_mode_does_not_matter(name: str, mode: Callable[[], AbstractContextManager[None]]) -> None:
    target = Networks().target()
    expected = ATTACKS[name](target, observations(4), threat(), noise(4))
    with mode():
        seen = ATTACKS[name](target, observations(4), threat(), noise(4))
    assert seen.equal(expected)
    assert not seen.requires_grad


@every_attack
def test_the_same_seeds_give_the_same_attack_and_other_seeds_another(name: str) -> None:
    target, obs = Networks().target(), observations(4)
    seen = ATTACKS[name](target, obs, threat(), noise(4))
    assert seen.equal(ATTACKS[name](target, obs, threat(), noise(4)))
    if isinstance(ATTACKS[name], Random | BestOf):  # a descent may end in one corner from everywhere
        assert not seen.equal(ATTACKS[name](target, obs, threat(), noise(4, first=50)))


@every_attack
def test_a_batch_without_rows_stays_empty(name: str) -> None:
    seen = ATTACKS[name](Networks().target(), observations(0), threat(), noise(0))
    assert seen.shape == (0, SENSORS)


# Best of n


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
    seen = Descend(objective=hidden_valley, restarts=20)(target, obs, threat(), noise(20))
    assert blind[:, 0].eq(0).all()
    torch.testing.assert_close(seen[:, 0], torch.full((20,), 0.1))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"steps": 0}, "steps >= 1"),
        ({"restarts": -1}, "restarts >= 0"),
        ({"step_size": 0.0}, "step_size is in units of eps"),
        ({"step_size": 2.5}, "step_size is in units of eps"),
        ({"candidates": -1}, "not negative"),
        ({"candidates": 5, "restarts": 0}, "expected restarts >= 1"),
        ({"draw": "sobol"}, "no draw 'sobol'; choose one of uniform, corner, gaussian"),
    ],
)
def test_a_wrong_descent_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Descend(**wrong)


def test_best_of_nothing_and_unknown_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 candidate"):
        BestOf(n=0)
    for search in (BestOf, Random):
        with pytest.raises(ValueError, match="no draw 'sobol'"):
            search(draw="sobol")


def test_searches_read_as_what_they_do() -> None:
    assert repr(Random()) == "Random(draw='uniform')"
    expected = "Descend(objective=None, steps=3, step_size=None, restarts=1, snap=True, candidates=0, draw='uniform')"
    assert repr(Descend(steps=3)) == expected
    assert "action_difference" in repr(ATTACKS["action-diff"])


def test_a_missing_critic_names_the_way_out() -> None:
    with pytest.raises(ValueError, match="use the attack action-diff"):
        ATTACKS["min-q"](Networks().target(critic=False), observations(2), threat(), noise(2))


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


def test_noise_of_one_step_never_depends_on_the_other_rows() -> None:
    # Row 1 leaves the batch after the first step: row 2 must go on as if it were alone.
    target, obs = Networks().target(), observations(3)
    source, alone = noise(3), Noise.from_seeds([2])
    ATTACKS["random"](target, obs, threat(), source)
    ATTACKS["random"](target, obs[[2]], threat(), alone)
    rest = ATTACKS["random"](target, obs[[0, 2]], threat(), source.rows([0, 2]))
    assert rest[[1]].equal(ATTACKS["random"](target, obs[[2]], threat(), alone))
