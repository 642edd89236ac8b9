"""What is searched beside a certificate finds what there is to find, and budgets are nested."""

import itertools
from dataclasses import replace

import pytest
import torch

from attacks import Feedforward, Target, Threat
from microbench.evaluation.certified import SERIES, certified

WEIGHT, OBS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.3, 0.0]]), torch.randn(4, 3, generator=torch.manual_seed(0))


def linear() -> Target:
    network = Feedforward(layers=[(WEIGHT, torch.zeros(2))], activation="relu")
    return Target(policy=lambda obs: obs @ WEIGHT.T, obs_scale={"raw": torch.ones(3)}, network=network)


def threats(*budgets: float) -> list[Threat]:
    return [Threat(eps=eps, scale=torch.ones(3), unit="raw") for eps in budgets]


def test_of_a_linear_policy_searches_reach_the_bound_in_half_widths() -> None:
    """|W|·eps is 3.5·eps and 0.3·eps; the box has half-widths 2 and 0.1, so the second component counts more."""
    target = linear()
    assert target.network is not None
    (one,) = certified(target, target.network, OBS, threats(0.1), torch.tensor([2.0, 0.1]))
    for name in ("attack", "crown", "ibp", "bound"):
        torch.testing.assert_close(one.changes[name], torch.full((4,), 0.3).double(), rtol=1e-5, atol=0)
        torch.testing.assert_close(
            one.actions[name], torch.tensor([0.35, 0.03]).double().expand(4, 2), rtol=1e-5, atol=0
        )
    assert one.flags == ()
    assert bool((one.changes["random"] < one.changes["attack"]).all())


def test_columns_never_fall_as_the_budget_rises() -> None:
    generator = torch.Generator().manual_seed(1)
    layers = [
        (torch.randn(b, a, generator=generator), torch.randn(b, generator=generator)) for a, b in ((3, 20), (20, 2))
    ]
    network = Feedforward(layers=layers, activation="relu")
    target = replace(linear(), policy=network, network=network)
    rising = certified(target, network, OBS, threats(0, 0.01, 0.1, 0.3, 1, 3), torch.ones(2))
    for smaller, larger in itertools.pairwise(rising):
        assert all(bool((smaller.changes[name] <= larger.changes[name]).all()) for name in SERIES)


def test_an_attack_that_reaches_less_than_half_of_the_bound_is_flagged() -> None:
    """relu(x) + relu(−x) − |x| is 0 everywhere, which no method here sees once x can have either sign."""
    layers = [
        (torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), torch.zeros(4)),
        (torch.tensor([[1.0, 1.0, -1.0, -1.0]]), torch.zeros(1)),
    ]
    network = Feedforward(layers=layers, activation="relu")
    target = Target(policy=network, obs_scale={"raw": torch.ones(1)}, network=network)
    threat = Threat(eps=1.0, scale=torch.ones(1), unit="raw")
    (one,) = certified(target, network, torch.zeros(3, 1), [threat], torch.ones(1))
    assert float(one.changes["attack"].max()) < 1e-6
    assert float(one.changes["bound"].min()) > 0.5
    assert one.flags == ("far-below-bound",)


def test_layers_of_another_policy_are_refused() -> None:
    target = linear()
    other = Feedforward(layers=[(WEIGHT + 0.1, torch.zeros(2))], activation="relu")
    with pytest.raises(AssertionError, match="other actions than the policy"):
        certified(target, other, OBS, threats(0.1), torch.ones(2))
