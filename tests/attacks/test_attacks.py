"""The names of the package."""

import random

import pytest
import torch
from torch import Tensor

import attacks
from attacks import ATTACKS, Noise, Target, Threat, objective_of, resolve
from tests.attacks.toys import Networks


def nudge(target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
    return obs + threat.half_width


NOT_AN_ATTACK = "text"


def test_the_built_in_names() -> None:
    assert list(ATTACKS) == ["random", "fgsm", "pgd", "min-q", "action-diff"]


def test_every_name_is_documented() -> None:
    assert attacks.__doc__ is not None
    assert all(f"\n{name} " in attacks.__doc__ for name in ATTACKS)


def test_resolve_knows_names_and_anybodys_functions() -> None:
    assert resolve("pgd") is ATTACKS["pgd"]
    assert resolve("tests.attacks.test_attacks:nudge").__name__ == "nudge"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("pdg", "did you mean 'pgd'"),
        ("minq", "did you mean 'min-q'"),
        ("xyz", "choose one of random, fgsm, pgd, min-q, action-diff, oracle, or module:name"),
        ("no_such_module:attack", "cannot be imported.*no_such_module"),
        ("tests.attacks.test_attacks:missing", "cannot be imported.*missing"),
        ("tests.attacks.test_attacks:NOT_AN_ATTACK", "is no attack: expected a function"),
        ("a b:c", "cannot be imported"),
    ],
)
def test_an_unknown_name_says_what_to_do(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        resolve(name)


def test_reports_can_name_the_objective() -> None:
    judged, blind = Networks().target(), Networks().target(critic=False)
    assert {name: objective_of(attack, judged) for name, attack in ATTACKS.items()} == {
        "random": "none",
        "fgsm": "value",
        "pgd": "value",
        "min-q": "value",
        "action-diff": "action_difference",
    }
    assert objective_of(ATTACKS["pgd"], blind) == "action_difference"
    assert objective_of(nudge, judged) == "unknown"


def test_A14_attacks_leave_the_global_generators_alone() -> None:
    target = Networks().target()
    before, python = torch.random.get_rng_state(), random.getstate()
    for attack in ATTACKS.values():
        attack(target, torch.zeros(2, 5), Threat(eps=0.1, scale=torch.ones(5)), Noise.from_seeds([0, 1]))
    assert torch.random.get_rng_state().equal(before)
    assert random.getstate() == python
