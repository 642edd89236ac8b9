"""The searches of earlier suites against plain loops written from what their authors' code does."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from attacks import ATTACKS, SUITE, SignSteps, Target, Threat, action_difference, action_kl, q_mean, q_std, state_value
from tests.attacks.toys import SENSORS, WIDE_SCALE, Networks, linear_target, noise, observations, threat

ROWS = 6


def gradient(loss: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    leaf = at.detach().clone().requires_grad_()
    slope: Tensor = torch.autograd.grad(loss(leaf).sum(), leaf)[0]
    return slope


def test_they_have_names_of_their_own_and_are_no_part_of_the_suite() -> None:
    presets = [name for name in ATTACKS if name.startswith("compat:")]
    assert len(presets) == 16
    assert not set(presets) & set(SUITE)


@pytest.mark.parametrize(
    ("name", "objective"),
    [("compat:rorl-min-q-first", q_mean), ("compat:rorl-action-diff-first", action_kl)],
)
def test_rorls_first_order_is_adam_made_anew_at_each_step(
    name: str, objective: Callable[[Target, Tensor, Tensor], Tensor]
) -> None:
    target, obs, ball = Networks(1).target(), observations(ROWS), threat(0.3, wide=True)
    change = ball.sample(obs, noise(ROWS), 1)[:, 0] - obs
    for _ in range(10):
        leaf = change.clone().requires_grad_()
        optimiser = torch.optim.Adam([leaf], lr=0.1 * 0.3)
        objective(target, obs, obs + leaf).mean().backward()  # type: ignore[no-untyped-call]  # torch
        optimiser.step()
        change = torch.clamp(leaf.detach(), -0.3 * WIDE_SCALE, 0.3 * WIDE_SCALE)
    seen = ATTACKS[name](target, obs, ball, noise(ROWS))
    torch.testing.assert_close(seen, obs + change, rtol=0, atol=2e-5)


def test_rorls_mixed_order_is_the_best_end_of_twenty_starts() -> None:
    target, obs, ball = Networks(1).target(), observations(ROWS), threat(0.3, wide=True)
    seen = ATTACKS["compat:rorl-min-q-mixed"](target, obs, ball, noise(ROWS))
    starts = ball.sample(obs, noise(ROWS), 20)
    ends = []
    for start in starts.unbind(1):
        point = start
        for _ in range(10):
            step = 0.03 * gradient(lambda shown: q_mean(target, obs, shown), point).sign()
            point = torch.clamp(point - step, obs - 0.3 * WIDE_SCALE, obs + 0.3 * WIDE_SCALE)
        ends.append(q_mean(target, obs, point))
    torch.testing.assert_close(q_mean(target, obs, seen), torch.stack(ends).amin(0), rtol=0, atol=1e-4)


def test_rorls_steps_do_not_fit_its_box() -> None:
    """One length for all sensors: ten steps go a twentieth of a wide one's width, and one overshoots a narrow one."""
    target, slope = linear_target()
    obs, ball = torch.zeros(ROWS, SENSORS), threat(0.3, wide=True)
    start = ball.sample(obs, noise(ROWS), 1)[:, 0]
    seen = ATTACKS["compat:rorl-min-q-first"](target, obs, ball, noise(ROWS))
    moved = (seen - start).abs() / (2 * 0.3 * WIDE_SCALE)  # in widths of the box
    assert moved[:, 4].max() < 1 / 21
    assert 2 * 0.3 * WIDE_SCALE[0] / 2 < 0.03  # a raw step of 0.1·eps is more than half the width of the first sensor
    assert (seen[:, 0] * slope[0].sign() == -0.3 * WIDE_SCALE[0]).all()


def test_zero_order_presets_take_the_best_of_fifty() -> None:
    target, obs, ball = Networks(1).target(), observations(ROWS), threat(0.3)
    points = ball.sample(obs, noise(ROWS), 50)
    clean = [("min-q", q_mean, True), ("action-diff", action_kl, False), ("q-std", q_std, True)]
    for name, objective, with_clean in clean:
        scored = torch.stack([objective(target, obs, point) for point in points.unbind(1)], 1)
        best = points[torch.arange(ROWS), scored.argmin(1)]
        if with_clean:
            best = torch.where((objective(target, obs, obs) < scored.amin(1))[:, None], obs, best)
        assert ATTACKS[f"compat:rorl-{name}"](target, obs, ball, noise(ROWS)).equal(best), name


def test_micros_spread_over_one_critic_is_nan_and_chooses_the_first_point() -> None:
    one = torch.randn(1, 51, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="degrees of freedom"):
        spread = one.std(0)
    assert spread.isnan().all()
    assert int(spread.argmin()) == 0  # a uniform point, because the clean one comes last
    target, obs = Networks().target(critic=False), observations(ROWS)
    seen = ATTACKS["compat:micro-q-std"](target, obs, threat(), noise(ROWS))
    assert seen.equal(ATTACKS["random"](target, obs, threat(), noise(ROWS)))


def test_sa_ppos_mad_is_its_loop() -> None:
    target, obs, eps = Networks(2).target(), observations(ROWS), 0.2
    ball, source = threat(eps, wide=True), noise(ROWS)
    step = eps / 10
    point = obs + step * WIDE_SCALE * source.normal(1, SENSORS)[:, 0].sign()
    for i in range(10):
        slope = gradient(lambda shown: -action_difference(target, obs, shown), point) * WIDE_SCALE
        slope = slope - (2 * step) ** 0.5 / (i + 2) * source.normal(1, SENSORS)[:, 0]  # as random as with a plus
        point = point + step * WIDE_SCALE * slope.sign()
        point = torch.clamp(point, obs - eps * WIDE_SCALE, obs + eps * WIDE_SCALE)
    seen = ATTACKS["compat:sa-ppo-mad"](target, obs, ball, noise(ROWS))
    torch.testing.assert_close(seen, point, rtol=0, atol=1e-5)


def test_sa_ppos_critic_lowers_the_value_of_what_is_shown() -> None:
    target, obs, eps = Networks(2).target(), observations(ROWS), 0.2
    ball = threat(eps, wide=True)
    point = obs + eps / 10 * WIDE_SCALE * noise(ROWS).uniform(1, SENSORS)[:, 0]
    for _ in range(10):
        point = point - eps / 10 * WIDE_SCALE * gradient(lambda shown: state_value(target, obs, shown), point).sign()
        point = torch.clamp(point, obs - eps * WIDE_SCALE, obs + eps * WIDE_SCALE)
    seen = ATTACKS["compat:sa-ppo-critic"](target, obs, ball, noise(ROWS))
    torch.testing.assert_close(seen, point, rtol=0, atol=1e-5)


def test_tirls_steps_do_not_cross_the_ball_and_end_in_the_range_of_the_data() -> None:
    """Ten steps of eps/10 move by eps at most."""
    target, slope = linear_target()
    obs, ball = torch.zeros(200, SENSORS), threat(0.3)
    start = ball.sample(obs, noise(200), 1)[:, 0]
    seen = ATTACKS["compat:tirl-min-q"](target, obs, ball, noise(200))
    torch.testing.assert_close(seen, torch.clamp(start - 0.3 * slope.sign(), -0.3, 0.3))
    assert (seen.abs() < 0.29).any()  # corners that were not reached
    far = torch.full((4, SENSORS), 2.1)  # the range of this target ends at 2
    cut = ATTACKS["compat:tirl-min-q"](target, far, ball, noise(4))
    assert cut.max() <= 2.0
    assert SignSteps(objective=q_mean)(target, far, ball, noise(4)).max() > 2.0
    assert SignSteps(objective=q_mean, in_range=True)(target, far, threat(0.0), noise(4)).equal(far)


def test_actor_mad_and_robustrllib_change_the_action() -> None:
    target, obs = Networks(3).target(), observations(ROWS) / 10
    for name in ("compat:tirl-actor-mad", "compat:robustrllib-adversarial"):
        seen = ATTACKS[name](target, obs, threat(0.3), noise(ROWS))
        random = ATTACKS["random"](target, obs, threat(0.3), noise(ROWS))
        changed, by_chance = (-action_difference(target, obs, shown).mean() for shown in (seen, random))
        assert changed > 2 * by_chance


def test_impossible_settings_are_refused_and_needs_are_told() -> None:
    for wrong in ({"steps": 0}, {"starts": 0}, {"length": 0.0}, {"start": "middle"}):
        with pytest.raises(ValueError, match="Published steps need steps and starts of at least 1"):
            SignSteps(objective=q_mean, **wrong)
    bare = Target(policy=torch.tanh, obs_scale={})
    with pytest.raises(ValueError, match=r"range of the data's observations is not known.*obs_bounds"):
        SignSteps(objective=action_difference, in_range=True)(
            bare, torch.zeros(1, 2), Threat(eps=0.1, scale=torch.ones(2)), noise(1)
        )
    assert SignSteps(objective=q_mean, in_range=True).needs(bare) == ("critics", "gradients", "obs_bounds")
