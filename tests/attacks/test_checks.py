import torch

from attacks import Target, value
from attacks.checks import far_below_bound, loss_order, stochastic_policy, zero_gradient
from tests.attacks.toys import linear_target, observations


def test_a_saturated_tanh_is_noticed_in_its_rows() -> None:
    target = Target(policy=torch.tanh, critic=lambda obs, action: action.sum(-1), obs_scale={})
    obs = torch.tensor([[30.0, -30.0], [0.1, 30.0]])
    assert zero_gradient(value, target, obs).tolist() == [True, False]


def test_a_policy_that_samples_is_noticed() -> None:
    generator = torch.Generator().manual_seed(0)
    obs = observations(3)
    assert stochastic_policy(lambda o: o + torch.randn(o.shape, generator=generator), obs)
    assert not stochastic_policy(linear_target()[0].policy, obs)
    assert not stochastic_policy(lambda o: o * torch.nan, obs)  # broken, but not random


def test_loss_order_names_the_pairs_that_are_the_wrong_way_round() -> None:
    assert loss_order({"pgd": -3.0, "fgsm": -2.0, "random": 0.1}) == []
    assert loss_order({"pgd": -1.0, "fgsm": -2.0, "random": 0.1}) == ["pgd > fgsm"]
    assert loss_order({"pgd": 0.5, "random": 0.1, "min-q": -9.0}) == ["pgd > random"]
    assert loss_order({"pgd": 0.15, "random": 0.1}, tolerance=0.1) == []


def test_an_attack_below_half_of_its_bound_leaves_most_of_it_open() -> None:
    bound = torch.tensor([1.0, 3.0])
    assert far_below_bound(torch.tensor([0.0, 1.9]), bound) == ("far-below-bound",)
    assert far_below_bound(torch.tensor([0.0, 2.0]), bound) == ()
    assert far_below_bound(torch.zeros(2), torch.zeros(2)) == ()
