import pytest
import torch

from attacks import Target
from tests.attacks.toys import Networks


def test_scale_is_the_half_width_of_one_unit() -> None:
    target = Networks().target()
    assert target.scale("raw").tolist() == [1.0] * 5
    assert target.scale("dataset-std")[-1] == 12.0


def test_a_missing_unit_names_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'range'.*raw, dataset-std"):
        Networks().target().scale("range")
    with pytest.raises(ValueError, match="only offers: none"):
        Target(policy=torch.tanh, obs_scale={}).scale("raw")


def test_a_missing_critic_names_the_way_out() -> None:
    with pytest.raises(ValueError, match="no critic; use the attack action-diff or random, or fit"):
        Networks().target(critic=False).require_critic()


def test_a_missing_distribution_names_the_way_out() -> None:
    with pytest.raises(ValueError, match="use the objective action_difference"):
        Networks().target(critic=False).require_distribution()
