"""The names of the package."""

import pytest
from torch import Tensor

import attacks
from attacks import ATTACKS, BARE, SUITE, Noise, Target, Threat, objective_of, resolve, settled
from tests.attacks.toys import Networks, noise, observations, threat


def nudge(target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
    return obs + threat.half_width


NOT_AN_ATTACK = "text"


def test_the_built_in_names() -> None:
    assert [name for name in ATTACKS if not name.startswith("compat:")] == [
        "random",
        "random-corner",
        "random-gaussian",
        "fgsm",
        "pgd",
        "pgd-restarts",
        "min-q",
        "min-q-gradient",
        "min-q-mixed",
        "action-diff",
        "action-kl",
        "v-min",
        "targeted",
        "q-mean",
        "q-std",
    ]


def test_what_runs_by_default_and_the_suite_are_built_in_and_ours() -> None:
    for chosen in (BARE, SUITE):
        assert len(set(chosen)) == len(chosen)
        assert set(chosen) <= {name for name in ATTACKS if not name.startswith("compat:")}
    assert "random" in BARE
    assert not [name for name in SUITE if name.startswith("random")]  # a worst case that noise finds is no search's


def test_every_name_is_documented() -> None:
    assert attacks.__doc__ is not None
    assert all(f"\n{name} " in attacks.__doc__ for name in ATTACKS if not name.startswith("compat:"))


def test_resolve_knows_names_and_anybodys_functions() -> None:
    assert resolve("pgd") is ATTACKS["pgd"]
    assert resolve("tests.attacks.test_attacks:nudge").__name__ == "nudge"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("pdg", "did you mean 'pgd'"),
        ("minq", "did you mean 'min-q'"),
        ("xyz", "choose one of random, .*, fgsm, pgd, .*, or module:name"),
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
    expected = {
        "random": "none",
        "fgsm": "value",
        "pgd": "value",
        "min-q": "value",
        "action-diff": "action_difference",
        "action-kl": "action_kl",
        "v-min": "state_value",
        "targeted": "target_distance",
        "q-std": "q_std",
        "compat:rorl-min-q": "q_mean",
    }
    assert {name: objective_of(ATTACKS[name], judged) for name in expected} == expected
    assert objective_of(ATTACKS["pgd"], blind) == "action_difference"
    assert objective_of(nudge, judged) == "unknown"


def test_what_settles_alike_on_a_target_finds_the_same_points() -> None:
    """Without a critic pgd is action-diff, with one min-q-gradient; what settles to something else finds others."""
    obs = observations(20)
    for target, pair, other in (
        (Networks().target(critic=False), ("pgd", "action-diff"), "fgsm"),
        (Networks().target(), ("pgd", "min-q-gradient"), "action-diff"),
        (Networks().target(), ("random", "compat:sa-ppo-random"), "random-corner"),
    ):
        first, second = (settled(ATTACKS[name], target) for name in pair)
        assert first == second is not None
        assert settled(ATTACKS[other], target) != first
        seen = [ATTACKS[name](target, obs, threat(), noise(20)) for name in (*pair, other)]
        assert seen[0].equal(seen[1])
        assert not seen[0].equal(seen[2])
    assert settled(lambda target, obs, threat, noise: obs, Networks().target()) is None
