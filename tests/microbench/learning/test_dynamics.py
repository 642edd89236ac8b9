"""The ensemble against separate networks, its soft clamp by hand, and the distribution of an imagined step."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from microbench.learning.dynamics import DynamicsEnsemble, Elites
from microbench.learning.networks import stacked
from tests.microbench.toys import ACTIONS, OBS, ensemble, fill, same_members, transitions, waves

ROWS = 9


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def one_network(model: DynamicsEnsemble, member: int, x: Tensor) -> Tensor:
    """Mean and raw log variance of one member, layer by layer."""
    *hidden, last = stacked(model.layers)
    for layer in hidden:
        x = functional.linear(x, layer.weight[member].T, layer.bias[member, 0])
        x = x * torch.sigmoid(x)
    return functional.linear(x, last.weight[member].T, last.bias[member, 0])


def test_members_equal_separate_networks() -> None:
    model, obs, action = ensemble(), waves(ROWS, OBS), waves(ROWS, ACTIONS)
    x = (torch.cat([obs, action], 1) - model.input_mean) / model.input_std
    torch.testing.assert_close(model.inputs(obs, action), x)
    mean, log_var = model(x)
    assert mean.shape == log_var.shape == (4, ROWS, OBS + 1)
    for member in range(4):
        expected = one_network(model, member, x)[:, : OBS + 1]
        torch.testing.assert_close(mean[member], expected)
        alone = model.member_moments(obs, action, member)
        torch.testing.assert_close(alone.mean, expected)
        torch.testing.assert_close(alone.log_var, log_var[member])


def test_members_can_have_inputs_of_their_own() -> None:
    model, x = ensemble(), waves(4, ROWS, OBS + ACTIONS)
    mean, _ = model(x)
    for member in range(4):
        torch.testing.assert_close(mean[member], one_network(model, member, x[member])[:, : OBS + 1])


@pytest.mark.parametrize("raw", [-30.0, -10.0, -3.0, 0.0, 0.5, 7.0])
def test_soft_clamp_by_hand(raw: float) -> None:
    """max − softplus(max − x), then min + softplus(x − min), with the bounds −10 and ½ that every fit starts from."""
    model = DynamicsEnsemble(1, 1, (2, 2, 2, 2), members=1, generator=seeded())
    with torch.no_grad():
        last = stacked(model.layers)[-1]
        last.weight.zero_()
        last.bias[0, 0, 2:] = raw
    upper = 0.5 - softplus(0.5 - raw)
    expected = -10 + softplus(upper + 10)
    log_var = model(torch.zeros(1, 2)).log_var
    assert log_var.flatten().tolist() == pytest.approx([expected] * 2, rel=1e-5)
    assert -10 <= expected < 0.5 + softplus(-10.5)


def test_bounds_are_learned() -> None:
    model = DynamicsEnsemble(OBS, ACTIONS, (4, 4, 4, 4), members=2, generator=seeded())
    assert model.max_log_var.tolist() == [0.5] * (OBS + 1)
    assert model.min_log_var.tolist() == [-10.0] * (OBS + 1)
    model(torch.zeros(1, OBS + ACTIONS)).log_var.sum().backward()
    for bound in (model.max_log_var, model.min_log_var):
        assert bound.grad is not None
        assert (bound.grad > 0).all()


def test_weights_start_from_a_truncated_normal() -> None:
    """Std 1 / (2 √fan_in), cut at two of them: the spread of a so cut normal is 0.88 of its own."""
    model = DynamicsEnsemble(11, 3, generator=seeded())
    assert [tuple(layer.weight.shape) for layer in stacked(model.layers)] == [
        (7, 14, 200), (7, 200, 200), (7, 200, 200), (7, 200, 200), (7, 200, 24)
    ]  # fmt: skip
    for layer in stacked(model.layers):
        std = 1 / (2 * math.sqrt(layer.weight.shape[1]))
        assert 1.95 * std < layer.weight.abs().max() <= 2 * std
        assert layer.weight.std().item() == pytest.approx(0.8796 * std, rel=0.02)
        assert (layer.bias == 0).all()
        assert not layer.weight[0].equal(layer.weight[1])


def test_an_ensemble_follows_from_its_generator_alone() -> None:
    torch.manual_seed(1)
    first = DynamicsEnsemble(OBS, ACTIONS, (4, 4, 4, 4), generator=seeded())
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = DynamicsEnsemble(OBS, ACTIONS, (4, 4, 4, 4), generator=seeded())
    assert torch.get_rng_state().equal(before)
    assert all(a.equal(b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_inputs_are_standardised_by_the_rows_given() -> None:
    model, rows = ensemble(), transitions(300)
    rows.obs[:, 1] = 7.0  # a feature that never moves counts with a std of 1
    rows.obs[:, 2] = 1e4 + rows.obs[:, 2] * 1e-2
    model.standardise_by(rows)
    assert model.input_std[1] == 1
    x = model.inputs(rows.obs, rows.action)
    assert x.mean(0).abs().max() < 2e-2
    assert x[:, 1].abs().max() < 1e-5
    spread = x.std(0, correction=0)
    torch.testing.assert_close(spread[[0, 2, 3, 4]], torch.ones(4), rtol=2e-2, atol=0)


def test_the_elites_next_obs_is_obs_plus_their_mean() -> None:
    model, obs, action = ensemble(elites=(3, 1)), waves(ROWS, OBS), waves(ROWS, ACTIONS)
    mean, std = Elites(model).next_obs(obs, action)
    assert mean.shape == std.shape == (2, ROWS, OBS)
    for place, member in enumerate((3, 1)):
        moments = model.member_moments(obs, action, member)
        torch.testing.assert_close(mean[place], obs + moments.mean[:, :OBS])
        torch.testing.assert_close(std[place], moments.log_var[:, :OBS].exp().sqrt())


def test_elites_are_copies() -> None:
    """Later changes of the ensemble, or of its elites, do not reach the snapshot."""
    model, obs, action = ensemble(elites=(3, 1)), waves(ROWS, OBS), waves(ROWS, ACTIONS)
    elites = Elites(model)
    before = elites.next_obs(obs, action)
    with torch.no_grad():
        for tensor in (*model.parameters(), model.input_mean):
            tensor.add_(0.5)
    model.elites = torch.tensor([0])
    for now, then in zip(elites.next_obs(obs, action), before, strict=True):
        assert now.equal(then)


def silent(model: DynamicsEnsemble) -> DynamicsEnsemble:
    """An ensemble with the same means and a standard deviation of e^−20."""
    with torch.no_grad():
        model.max_log_var.fill_(-40.0)
        model.min_log_var.fill_(-50.0)
    return model


def test_every_row_steps_with_exactly_one_elite() -> None:
    """Without noise a row must be one elite's mean, state and reward alike, each elite for about a third of rows."""
    model, rows = silent(ensemble(elites=(0, 2, 3))), 3000
    obs, action = waves(1, OBS).expand(rows, -1), waves(1, ACTIONS).expand(rows, -1)
    next_obs, reward = model.step(obs, action, seeded())
    assert next_obs.shape == (rows, OBS)
    assert reward.shape == (rows,)
    means = torch.stack([model.member_moments(obs[:1], action[:1], member).mean[0] for member in range(4)])
    out = torch.cat([next_obs - obs, reward[:, None]], 1)
    same = (out[:, None] - means).abs().amax(-1) < 1e-5  # (rows, member)
    assert (same.sum(1) == 1).all()
    counts = same.sum(0).tolist()
    assert counts[1] == 0
    assert all(abs(counts[member] - 1000) < 130 for member in (0, 2, 3))  # five standard deviations


def test_a_step_has_the_mixtures_mean_and_variance() -> None:
    """Law of total variance over elites: E σ² + Var μ, for the states and, as last output, the reward."""
    model, rows = ensemble(elites=(0, 2, 3)), 40_000
    obs, action = waves(1, OBS).expand(rows, -1), waves(1, ACTIONS).expand(rows, -1)
    next_obs, reward = model.step(obs, action, seeded())
    moments = [model.member_moments(obs[:1], action[:1], member) for member in (0, 2, 3)]
    means = torch.stack([moment.mean[0] for moment in moments])
    variances = torch.stack([moment.log_var[0].exp() for moment in moments])
    variance = variances.mean(0) + means.var(0, correction=0)
    out = torch.cat([next_obs - obs, reward[:, None]], 1)
    assert ((out.mean(0) - means.mean(0)).abs() < 5 * (variance / rows).sqrt()).all()
    torch.testing.assert_close(out.var(0), variance, rtol=0.05, atol=0)


def test_noise_of_outputs_and_rows_is_independent() -> None:
    model = same_members(ensemble())
    fill(model.layers, start=0, size=0.0)
    next_obs, reward = model.step(torch.zeros(20_000, OBS), torch.zeros(20_000, ACTIONS), seeded())
    out = torch.cat([next_obs, reward[:, None]], 1)
    correlation = torch.corrcoef(torch.cat([out[1:], out[:-1]], 1).T) - torch.eye(2 * (OBS + 1))
    assert correlation.abs().max() < 0.04


def test_steps_follow_from_their_generator() -> None:
    model, obs, action = ensemble(), waves(ROWS, OBS), waves(ROWS, ACTIONS)
    first = model.step(obs, action, seeded())
    assert all(one.equal(other) for one, other in zip(first, model.step(obs, action, seeded()), strict=True))
    assert not first[0].equal(model.step(obs, action, seeded(1))[0])
