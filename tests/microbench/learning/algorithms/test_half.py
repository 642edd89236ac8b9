"""Gaps whose values come from bfloat16 products between hidden layers: an option, and close where values are large."""

import copy
import dataclasses
from functools import cache

import torch
from torch import Tensor

from microbench.learning.agent import Agent, AgentConfig, make_agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.algorithms.micro import value_gap
from microbench.learning.config import TrainConfig
from microbench.numerics.kernels import fast_float32_matmul
from tests.microbench import toys
from tests.microbench.toys import CPU, agent, waves

OBS, ACTIONS, MEMBERS, ROWS = 11, 3, 5, 244


@cache
def fitted() -> Agent:
    """Critics of the usual size that were fitted to values between 100 and 200."""
    config = AgentConfig(critic_lr=1e-3)
    learner = make_agent(OBS, ACTIONS, config, ALGORITHMS["micro"], seed=0, device=CPU)
    generator = torch.Generator().manual_seed(0)
    for _ in range(250):
        obs, action = (
            torch.randn(256, OBS, generator=generator),
            learner.actor(torch.randn(256, OBS, generator=generator)),
        )
        loss = (learner.critics(obs, action.detach()) - wanted(obs)).square().mean()
        learner.critic_optimiser.zero_grad()
        loss.backward()
        learner.critic_optimiser.step()
    learner.target_critics.load_state_dict(learner.critics.state_dict())
    return learner


def wanted(obs: Tensor) -> Tensor:
    return 150 + 50 * torch.tanh(obs.sum(-1) / 3)


def next_states() -> tuple[Tensor, Tensor]:
    """Predictions of five members for 244 rows, two samples each, and noise for the actions; (N E B, ·)."""
    generator = torch.Generator().manual_seed(1)
    shapes = ((1, 1, ROWS, OBS), (1, MEMBERS, ROWS, OBS), (2, 1, ROWS, OBS))
    obs, shift, drawn = (torch.randn(shape, generator=generator) for shape in shapes)
    state = obs + 0.03 * shift + 0.03 * drawn
    noise = torch.randn(2, 1, ROWS, ACTIONS, generator=generator).expand(2, MEMBERS, ROWS, -1)
    return state.flatten(0, 2), noise.flatten(0, 2)


def gaps(values: Tensor) -> Tensor:
    return value_gap(values.view(2, MEMBERS, ROWS).mean(0)).double()


def agreement(approximate: Tensor, exact: Tensor) -> tuple[float, float]:
    """Bias relative to the mean, and correlation."""
    both = torch.stack([approximate, exact])
    return float((approximate - exact).mean() / exact.mean()), float(torch.corrcoef(both)[0, 1])


def half(learner: Agent) -> Agent:
    other = copy.copy(learner)
    other.config = dataclasses.replace(learner.config, gap_precision="bfloat16")
    return other


def test_gaps_of_large_values_keep_their_size_and_order() -> None:
    learner, rows = fitted(), next_states()
    with fast_float32_matmul():
        exact, approximate = (gaps(of.pessimistic_value(*rows)) for of in (learner, half(learner)))
        assert learner.pessimistic_value(*rows).mean() > 100
    assert not approximate.equal(exact)
    bias, correlation = agreement(approximate, exact)
    assert abs(bias) < 0.01
    assert correlation > 0.99


def test_without_float32_ends_the_same_measure_fails() -> None:
    """Everything in bfloat16, as autocast would do it: what the form above is for."""
    learner, (obs, noise) = fitted(), next_states()
    critics = copy.deepcopy(learner.target_critics).bfloat16()
    with torch.no_grad():
        approximate = gaps(critics(obs.bfloat16(), learner.actor.act(obs, noise).bfloat16()).float().amin(0))
    exact = gaps(learner.pessimistic_value(obs, noise))
    assert agreement(approximate, exact)[1] < 0.99


def test_both_ways_to_the_products_agree() -> None:
    learner, rows = half(fitted()), next_states()
    with fast_float32_matmul():
        fused = learner.pessimistic_value(*rows)
    torch.testing.assert_close(learner.pessimistic_value(*rows), fused, rtol=1e-2, atol=0.5)


def test_one_hidden_layer_has_nothing_to_round() -> None:
    learner = agent(AgentConfig(hidden=(7,)))
    obs, noise = waves(6, toys.OBS), waves(6, toys.ACTIONS)
    torch.testing.assert_close(half(learner).pessimistic_value(obs, noise), learner.pessimistic_value(obs, noise))


def test_only_the_gap_is_rounded() -> None:
    one, other, obs = fitted(), half(fitted()), next_states()[0][:9]
    for of in (one, other):
        of.generator = torch.Generator().manual_seed(3)
    assert one.next_value(obs).equal(other.next_value(obs))
    assert TrainConfig().gap_precision == "float32"
