"""The likelihood by hand, the bootstrap, early stopping member by member, and the elites."""

import copy
import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import microbench.learning.dynamics_fit as fit_module
from microbench.errors import UserError
from microbench.learning.dynamics import DynamicsEnsemble, Elites, Moments
from microbench.learning.dynamics_fit import (
    WEIGHT_DECAY,
    DynamicsConfig,
    DynamicsFit,
    add_decay_gradient,
    bounds_loss,
    holdout_errors,
    likelihood_loss,
)
from microbench.learning.networks import stacked
from tests.microbench.toys import ACTIONS, OBS, ensemble, one_line, transitions, waves

TINY: dict[str, Any] = {"members": 4, "elites": 2, "hidden": (8, 8, 8, 8), "batch": 64}


def model_of(config: DynamicsConfig, seed: int = 0) -> DynamicsEnsemble:
    generator = torch.Generator().manual_seed(seed)
    return DynamicsEnsemble(OBS, ACTIONS, config.hidden, members=config.members, generator=generator)


def make_fit(rows: int = 200, seed: int = 0, **changes: Any) -> DynamicsFit:
    config = DynamicsConfig(**(TINY | changes))
    return DynamicsFit(model_of(config, seed), transitions(rows), config, torch.Generator().manual_seed(seed))


def test_likelihood_by_hand() -> None:
    """Member 1: errors 2 and 0 at variance 1 → 2 + 0. Member 2: 2 and 2 at variance 4 → 1 + log 4. Sum over members."""
    mean = torch.tensor([[[1.0, 5.0]], [[1.0, 3.0]]])
    target = torch.tensor([[[3.0, 5.0]], [[3.0, 5.0]]])
    log_var = torch.tensor([[[0.0, 0.0]], [[math.log(4)] * 2]])
    assert likelihood_loss(Moments(mean, log_var), target).item() == pytest.approx(2 + 1 + math.log(4))


def test_likelihood_is_a_mean_over_rows_and_outputs() -> None:
    moments = Moments(waves(3, 4, 2), waves(3, 4, 2, start=1))
    target = waves(3, 4, 2, start=2)
    twice = Moments(*(torch.cat([part, part], 1) for part in moments))
    doubled = likelihood_loss(twice, torch.cat([target, target], 1))
    torch.testing.assert_close(doubled, likelihood_loss(moments, target))


def test_likelihood_refuses_shapes_that_would_broadcast() -> None:
    with pytest.raises(AssertionError):
        likelihood_loss(Moments(torch.zeros(2, 3, 1), torch.zeros(2, 3, 1)), torch.zeros(2, 3, 2))


def test_bounds_loss_by_hand() -> None:
    """Four outputs from −10 to ½: 0.01 · (4 · ½ + 4 · 10) = 0.42; its gradient pulls both inwards."""
    model = model_of(DynamicsConfig(**TINY))
    loss = bounds_loss(model)
    assert loss.item() == pytest.approx(0.42)
    upper, lower = torch.autograd.grad(loss, [model.max_log_var, model.min_log_var])
    assert upper.tolist() == pytest.approx([0.01] * 4)
    assert lower.tolist() == pytest.approx([-0.01] * 4)


def test_weight_decay_in_closed_form_is_autograds() -> None:
    """Σ_l ½ wd_l ‖W_l‖² over all members, biases excepted, with the reference's constants."""
    assert WEIGHT_DECAY == (2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4)
    model = ensemble()
    decay = sum(
        0.5 * rate * layer.weight.square().sum()
        for layer, rate in zip(stacked(model.layers), WEIGHT_DECAY, strict=True)
    )
    assert isinstance(decay, Tensor)
    expected = torch.autograd.grad(decay, [layer.weight for layer in stacked(model.layers)])
    for layer in stacked(model.layers):
        layer.weight.grad, layer.bias.grad = torch.ones_like(layer.weight), torch.ones_like(layer.bias)
    add_decay_gradient(model)
    for layer, gradient in zip(stacked(model.layers), expected, strict=True):
        assert layer.weight.grad is not None
        assert layer.bias.grad is not None
        torch.testing.assert_close(layer.weight.grad, 1 + gradient)
        assert (layer.bias.grad == 1).all()


def test_one_step_written_out() -> None:
    """Batch as large as the data: the epoch is one Adam step on Σ likelihoods + decay + bounds, all by autograd."""
    fit = make_fit(batch=1000)
    model = copy.deepcopy(fit.model)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    inputs, target = fit._train
    loss = torch.zeros(())
    for member in range(4):
        drawn = fit._resample[member]
        mean, log_var = (part[member] for part in model(inputs[drawn]))
        loss = loss + ((mean - target[drawn]) ** 2 / log_var.exp()).mean() + log_var.mean()
    decay = sum(
        0.5 * rate * layer.weight.square().sum()
        for layer, rate in zip(stacked(model.layers), WEIGHT_DECAY, strict=True)
    )
    bounds = 0.01 * model.max_log_var.sum() - 0.01 * model.min_log_var.sum()
    (loss + decay + bounds).backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
    optimiser.step()
    report = fit.epoch()
    assert report.loss == pytest.approx((loss + bounds).item(), rel=1e-5)
    for ours, theirs in zip(fit.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_holdout_error_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain squared errors of the mean: member 1 (1 + 9) / 2, member 2 (0 + 4) / 2; the variance has no say."""
    mean = torch.tensor([[[1.0, 0.0]], [[2.0, 5.0]]])
    model = ensemble()
    monkeypatch.setattr(model, "forward", lambda inputs: Moments(mean, torch.full_like(mean, 9.0)))
    assert holdout_errors(model, torch.zeros(1, OBS + ACTIONS), torch.tensor([[2.0, 3.0]])).tolist() == [5.0, 2.0]


@pytest.mark.parametrize(("rows", "held"), [(10, 2), (200, 40), (6000, 1000)])
def test_holdout_is_a_fifth_but_at_most_a_thousand_rows(rows: int, held: int) -> None:
    fit = make_fit(rows)
    train, holdout = fit._train[1], fit._holdout[1]
    assert (len(train), len(holdout)) == (rows - held, held)
    whole = torch.cat([train, holdout])
    supervised = fit_module._supervised(fit.model, transitions(rows))[1]
    assert sorted(whole.tolist()) == sorted(supervised.tolist())  # each row once


def test_inputs_are_standardised_by_the_training_rows() -> None:
    fit = make_fit()
    torch.testing.assert_close(fit._train[0].mean(0), torch.zeros(OBS + ACTIONS), rtol=0, atol=1e-5)
    torch.testing.assert_close(fit._train[0].std(0, correction=0), torch.ones(OBS + ACTIONS))
    assert fit._holdout[0].mean(0).abs().max() > 1e-3


def test_targets_are_steps_and_rewards() -> None:
    rows = transitions(20)
    _, target = fit_module._supervised(ensemble(), rows)
    assert target[:, :OBS].equal(rows.next_obs - rows.obs)
    assert target[:, OBS].equal(rows.reward)


def test_every_member_has_a_resample_of_its_own_with_replacement() -> None:
    resample = make_fit()._resample
    assert resample.shape == (4, 160)
    shares = [len(member.unique()) / 160 for member in resample]
    assert all(0.5 < share < 0.75 for share in shares)  # 1 − 1/e = 0.63
    for one in range(4):
        for other in range(one):
            assert not resample[one].sort().values.equal(resample[other].sort().values)


def test_epochs_reshuffle_the_same_resample() -> None:
    resample = make_fit()._resample
    generator = torch.Generator().manual_seed(0)
    first, second = (fit_module._shuffled(resample, generator) for _ in range(2))
    for order in (first, second):
        assert order.sort(1).values.equal(resample.sort(1).values)
    assert not first.equal(second)


def test_early_stopping_member_by_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only gains of more than 1 % on a member's best count; two epochs without any end the fit."""
    script = [
        [1.00, 1.00, 1.0, 1.0],  # the first epoch is everybody's best
        [0.995, 0.98, 2.0, 1.0],  # ½ % is no gain, 2 % is
        [0.992, 0.975, 2.0, 1.0],  # against the best of 1, 0.992 still is none
        [0.98, 0.98, 2.0, 1.0],  # now it is
        [0.98, 0.98, 2.0, 0.999],
        [0.98, 0.98, 2.0, 0.999],
    ]
    best = [4, 2, 1, 1]  # epochs
    fit = make_fit(patience=2)
    weights: list[list[Tensor]] = []
    monkeypatch.setattr(
        fit_module, "holdout_errors", lambda *_: torch.tensor(script[min(len(weights), len(script) - 1)])
    )
    over = []
    while not fit.over:
        fit.epoch()
        weights.append([parameter.detach().clone() for parameter in fit.model.layers.parameters()])
        over.append(fit.over)
    assert over == [False, False, False, False, False, True]
    assert fit._best_errors.tolist() == pytest.approx([0.98, 0.98, 1.0, 1.0])

    monkeypatch.setattr(fit_module, "holdout_errors", lambda *_: torch.tensor([0.98, 0.97, 0.5, 1.0]))
    assert fit.finish() == pytest.approx([0.98, 0.97, 0.5, 1.0])
    for number, parameter in enumerate(fit.model.layers.parameters()):
        for member, epoch in enumerate(best):
            assert parameter[member].equal(weights[epoch - 1][number][member])
            if epoch != len(script):
                assert not parameter[member].equal(weights[-1][number][member])
    assert fit.model.elites.tolist() == [1, 2]  # the two lowest


def test_max_epochs_ends_the_fit() -> None:
    fit = make_fit(max_epochs=2, patience=100)
    while not fit.over:
        report = fit.epoch()
    assert report.epoch == 2
    assert report.holdout.shape == (4,)


def test_the_ensemble_learns() -> None:
    """Far better than the mean predictor, on rows it has not seen; finish returns the errors it chose elites by."""
    fit = make_fit(600, hidden=(24, 24, 24, 24), lr=1e-2, max_epochs=60, patience=10, batch=32)
    while not fit.over:
        fit.epoch()
    errors = fit.finish()
    inputs, target = fit._holdout
    trivial = (target - fit._train[1].mean(0)).square().mean().item()
    assert sorted(errors)[1] < 0.02 * trivial
    assert errors == pytest.approx(holdout_errors(fit.model, inputs, target).tolist())
    assert fit.model.elites.tolist() == sorted(sorted(range(4), key=errors.__getitem__)[:2])
    fresh = transitions(100, seed=9)
    mean, std = Elites(fit.model).next_obs(fresh.obs, fresh.action)
    steps = (fresh.next_obs - fresh.obs).square().mean()
    assert (mean - fresh.next_obs).square().mean() < 0.05 * steps
    assert 0.005 < std.mean() < 0.05  # the world's own noise is 0.01


def test_a_fit_continues_bit_for_bit() -> None:
    straight, cut = make_fit(), make_fit()
    for _ in range(3):
        straight.epoch()
        cut.epoch()
    buffer = io.BytesIO()
    torch.save(cut.state_dict(), buffer)
    resumed = make_fit()
    resumed.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    for _ in range(2):
        one, other = straight.epoch(), resumed.epoch()
        assert one.epoch == other.epoch
        assert one.loss == other.loss
        assert one.holdout.equal(other.holdout)
    assert straight.finish() == resumed.finish()
    for ours, theirs in zip(straight.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
        assert ours.equal(theirs)


def test_fits_follow_from_their_seeds_alone() -> None:
    torch.manual_seed(1)
    first = make_fit().epoch()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = make_fit().epoch()
    assert torch.get_rng_state().equal(before)
    assert (first.loss, first.holdout.tolist()) == (again.loss, again.holdout.tolist())
    assert make_fit(seed=1).epoch().loss != first.loss


def test_too_few_rows() -> None:
    with pytest.raises(UserError, match="9 rows; a dynamics ensemble needs at least 10") as caught:
        make_fit(9)
    assert one_line(caught.value)


def test_divergence_is_told() -> None:
    config, rows = DynamicsConfig(**TINY), transitions(200)
    rows.reward[17] = math.nan
    fit = DynamicsFit(model_of(config), rows, config, torch.Generator())
    with pytest.raises(UserError, match="the dynamics fit diverged in epoch 1") as caught:
        fit.epoch()
    assert one_line(caught.value)
