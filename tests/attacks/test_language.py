"""The texts of attacks and the settings they carry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks import ATTACKS, BestOf, Descend, SignSteps, action_difference, q_mean, resolve, value
from attacks.language import Spec, parse


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("pgd", Spec(name="pgd")),
        (" pgd ", Spec(name="pgd")),
        ("pgd()", Spec(name="pgd")),
        ("pgd(steps=50, restarts=4)", Spec(name="pgd", settings={"steps": 50, "restarts": 4})),
        ("pgd@2+5", Spec(name="pgd", sensors=("2", "5"))),
        ("pgd(snap=false)@foot_joint", Spec(name="pgd", settings={"snap": False}, sensors=("foot_joint",))),
        ("pgd(step_size=-0.5)", Spec(name="pgd", settings={"step_size": -0.5})),
        ('min-q(critic="a (b)/c@d.safetensors")', Spec(name="min-q", settings={"critic": "a (b)/c@d.safetensors"})),
        ("pgd(objective=q_mean)", Spec(name="pgd", settings={"objective": "q_mean"})),
        ("compat:rorl-min-q", Spec(name="compat:rorl-min-q")),
        ("module.part:name@each", Spec(name="module.part:name", sensors=("each",))),
    ],
)
def test_texts_and_their_parts(text: str, spec: Spec) -> None:
    assert parse(text) == spec
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no attack"),
        ("pgd(steps=50", "is no attack"),
        ("pgd@", "is no attack"),
        ("(steps=1)", "is no attack"),
        ("pgd@2++5", "every sensor once"),
        ("pgd@2+2", "every sensor once"),
        ("pgd(50)", "settings that cannot be read"),
        ("pgd(steps=)", "settings that cannot be read"),
        ("pgd(steps=1)(snap=true)", "settings that cannot be read"),
        ("pgd(steps=1,steps=2)", "cannot be read|every setting once"),
        ("pgd(**x)", "every setting once"),
        ("pgd(steps=[1])", "no number, word or quoted text"),
        ("pgd(steps=open('x'))", "no number, word or quoted text"),
    ],
)
def test_other_texts_are_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        parse(text)
    assert "write it as pgd" in str(caught.value)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda name: name.isidentifier()),
        st.one_of(
            st.booleans(),
            st.integers(-(10**9), 10**9),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12),
        ),
        max_size=3,
    )
)
def test_a_text_says_its_settings_again(settings: dict[str, object]) -> None:
    from keyword import iskeyword

    named = {name: value for name, value in settings.items() if not iskeyword(name)}
    named = {name: value for name, value in named.items() if not (isinstance(value, str) and iskeyword(value))}
    named = {name: value for name, value in named.items() if value not in ("true", "false")}
    spec = Spec(name="pgd", settings=named, sensors=("1",))
    assert parse(str(spec)) == spec


def test_settings_replace_the_fields_of_the_record() -> None:
    assert resolve("pgd(steps=50,restarts=4)") == Descend(steps=50, restarts=4)
    assert resolve("pgd(objective=q_mean,step_size=1)@3") == Descend(objective=q_mean, step_size=1.0)
    assert resolve("min-q(n=5,draw=corner)") == BestOf(objective=ATTACKS["min-q"].objective, n=5, draw="corner")  # type: ignore[attr-defined]  # a record
    assert resolve("random(draw=gaussian)") == ATTACKS["random-gaussian"]
    assert resolve("compat:rorl-min-q-first(objective=value,starts=2)") == SignSteps(
        objective=value, raw=True, starts=2
    )
    assert resolve("pgd(objective=action_difference)") == Descend(objective=action_difference)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pgd(step=50)", r"no setting 'step'; did you mean 'steps'\? It has objective, steps"),
        ("random(n=5)", "no setting 'n'; it has draw"),
        ("pgd(steps=0.5)", "wrong kind of value; expected int"),
        ("pgd(steps=true)", "wrong kind of value; expected int"),
        ("pgd(snap=1)", "wrong kind of value; expected bool"),
        ("pgd(steps=many)", "wrong kind of value; expected int"),
        ("pgd(objective=q_max)", "no objective 'q_max'; choose one of value, q_mean"),
        ("pgd(steps=0)", "steps >= 1"),
        ("random(draw=sobol)", "no draw 'sobol'"),
        ("pdg(steps=5)", "did you mean 'pgd'"),
        ("tests.attacks.test_attacks:nudge(steps=5)", "has no settings; leave the parentheses out"),
    ],
)
def test_wrong_settings_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        resolve(text)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_takes_settings(name: str) -> None:
    assert resolve(f"{name}()") == ATTACKS[name]
