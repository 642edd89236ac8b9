"""Stacked layers against separate ones, and the policy's density against torch.distributions."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, Independent, Normal, TanhTransform, TransformedDistribution
from torch.nn import functional

from microbench.learning.networks import CHUNK_ROWS, Actor, Critics, StackedLinear, chunks, stack, stacked
from tests.microbench.toys import ACTIONS, OBS, agent, waves


def separate(layer: StackedLinear, member: int) -> nn.Linear:
    linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[2])
    with torch.no_grad():
        linear.weight.copy_(layer.weight[member].T)
        linear.bias.copy_(layer.bias[member, 0])
    return linear


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_stacked_layers_equal_separate_ones() -> None:
    x = waves(3, 8, 5)
    layers = stacked(stack((5, 6, 2), 3, seeded()))
    assert [tuple(layer.weight.shape) for layer in layers] == [(3, 5, 6), (3, 6, 2)]
    for layer, width in zip(layers, (6, 2), strict=True):
        out = layer(x)
        assert out.shape == (3, 8, width)
        for member in range(3):
            torch.testing.assert_close(out[member], separate(layer, member)(x[member]))
        x = out


def test_stacked_layers_start_like_torch_and_differ_between_members() -> None:
    """U(−1/√fan_in, 1/√fan_in), as torch.nn.Linear."""
    layer = StackedLinear(2, 100, 200, seeded())
    for parameter in (layer.weight, layer.bias):
        assert parameter.abs().max() <= 0.1
        assert parameter.abs().max() > 0.099
        assert parameter.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.1)
    assert not layer.weight[0].equal(layer.weight[1])


def test_critics_equal_separate_networks() -> None:
    critics = agent().critics
    obs, action = waves(9, OBS), waves(9, ACTIONS, start=1)
    q = critics(obs, action)
    assert q.shape == (2, 9)
    for member in range(2):
        x = torch.cat([obs, action], 1)
        *hidden, last = (separate(layer, member) for layer in stacked(critics.layers))
        for layer in hidden:
            x = functional.relu(layer(x))
        torch.testing.assert_close(q[member], last(x).squeeze(1))


def test_frozen_critics_pass_gradients_to_their_inputs_only() -> None:
    critics, obs = agent().critics, waves(4, OBS)
    gradients = []
    for frozen in (False, True):
        action = waves(4, ACTIONS).requires_grad_()
        q = critics(obs, action, frozen=frozen)
        (gradient,) = torch.autograd.grad(q.sum(), action, retain_graph=True)
        gradients.append(gradient)
        q.sum().backward()
        have_gradients = [parameter.grad is not None for parameter in critics.parameters()]
        assert all(have_gradients) if not frozen else not any(have_gradients)
        critics.zero_grad()
    torch.testing.assert_close(*gradients)


def test_networks_follow_from_their_generator_alone() -> None:
    torch.manual_seed(1)
    first = [Actor(OBS, ACTIONS, generator=seeded()), Critics(OBS, ACTIONS, generator=seeded())]
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = [Actor(OBS, ACTIONS, generator=seeded()), Critics(OBS, ACTIONS, generator=seeded())]
    other = [Actor(OBS, ACTIONS, generator=seeded(1)), Critics(OBS, ACTIONS, generator=seeded(1))]
    assert torch.get_rng_state().equal(before)
    for one, same, different in zip(first, again, other, strict=True):
        assert all(a.equal(b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
        assert not any(a.equal(b) for a, b in zip(one.parameters(), different.parameters(), strict=True))


def test_actor_has_the_papers_shape() -> None:
    actor = Actor(11, 3, generator=seeded())
    assert [tuple(parameter.shape) for parameter in actor.parameters()] == [
        (256, 11), (256,), (256, 256), (256,), (3, 256), (3,), (3, 256), (3,)
    ]  # fmt: skip


def bounded() -> Actor:
    actor = Actor(OBS, ACTIONS, (7, 5), action_low=[-1.0, 0.0], action_high=[1.0, 6.0], generator=seeded())
    return actor.double()


def density(actor: Actor, obs: Tensor) -> TransformedDistribution:
    mean, log_std = actor.head(obs)
    transforms = [TanhTransform(), AffineTransform(actor.action_center, actor.action_scale, event_dim=1)]
    return TransformedDistribution(Independent(Normal(mean, log_std.exp()), 1), transforms)


def test_log_prob_is_that_of_a_squashed_and_scaled_normal() -> None:
    actor, obs, noise = bounded(), waves(50, OBS).double(), waves(50, ACTIONS).double()
    action, log_prob = actor.sample(obs, noise)
    assert log_prob.shape == (50,)
    # the paper's code adds 1e-6 inside the logarithm: at most a relative 1e-6 / (1 − tanh²) per dimension
    expected = density(actor, obs).log_prob(action)  # type: ignore[no-untyped-call]  # torch has no annotation here
    torch.testing.assert_close(log_prob, expected, rtol=0, atol=2e-5)


def test_log_prob_correction_by_hand() -> None:
    """u = 0.5 + e^0 · 1: log N = −½ − ½ log 2π, minus log(1 − tanh(1.5)² + 1e-6), minus log 3."""
    actor = Actor(1, 1, (2,), action_low=[0.0], action_high=[6.0], generator=seeded()).double()
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.zero_()
        actor.mean.bias.fill_(0.5)
    action, log_prob = actor.sample(torch.zeros(1, 1).double(), torch.ones(1, 1).double())
    assert action.item() == pytest.approx(3 + 3 * math.tanh(1.5))
    expected = -0.5 - 0.5 * math.log(2 * math.pi) - math.log(1 - math.tanh(1.5) ** 2 + 1e-6) - math.log(3)
    assert log_prob.item() == pytest.approx(expected, abs=1e-12)


def test_log_prob_stays_finite_where_tanh_saturates() -> None:
    actor = agent().actor
    with torch.no_grad():
        actor.mean.bias.fill_(50.0)
    action, log_prob = actor.sample(waves(4, OBS), torch.zeros(4, ACTIONS))
    assert (action == 1).all()
    assert log_prob.isfinite().all()


def test_the_deterministic_action_is_the_mode() -> None:
    actor, obs = bounded(), waves(20, OBS).double()
    mode = actor(obs)
    still = torch.zeros(20, ACTIONS).double()
    assert mode.equal(actor.act(obs, still))
    assert mode.equal(actor.sample(obs, still)[0])
    assert mode.equal(actor.action_center + actor.action_scale * torch.tanh(actor.head(obs).mean))
    noise = waves(20, ACTIONS).double()
    assert actor.act(obs, noise).equal(actor.sample(obs, noise)[0])


def test_actions_stay_in_the_box() -> None:
    actor = bounded()
    action = actor.act(waves(100, OBS).double(), 10 * waves(100, ACTIONS).double())
    assert (action >= torch.tensor([-1.0, 0.0])).all()
    assert (action <= torch.tensor([1.0, 6.0])).all()
    assert action.max() > 5.9


def test_log_std_is_clamped() -> None:
    actor, obs = agent().actor, waves(3, OBS)
    for bias, bound in ((100.0, 2.0), (-100.0, -5.0)):
        with torch.no_grad():
            actor.log_std.bias.fill_(bias)
        assert (actor.head(obs).log_std == bound).all()


@pytest.mark.parametrize("rows", [0, 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS])
def test_chunks_cover_every_row_once(rows: int) -> None:
    parts = [torch.arange(rows)[part] for part in chunks(torch.empty(rows, 1))]
    assert torch.cat(parts).equal(torch.arange(rows))
    assert all(len(part) <= CHUNK_ROWS for part in parts)


def test_other_devices_are_given_all_rows_at_once() -> None:
    of = torch.empty(3 * CHUNK_ROWS, 1, device="meta")
    assert chunks(of) == [slice(0, 3 * CHUNK_ROWS)]
    assert chunks(of[:0]) == [slice(0, 1)]
