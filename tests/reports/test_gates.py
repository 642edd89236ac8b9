"""Limits that results must keep; what passes is worked out by hand."""

from pathlib import Path

import pandas as pd
import pytest

from reports.gates import Gate, fail_under, failures, read_gates
from tests.reports.toys import episodes, table

CLEAN = [60.0, 70.0, 80.0, 60.0, 70.0, 80.0, 60.0, 70.0, 80.0, 70.0]
"""Mean 70, standard deviation 8.2: the lower end of the interval lies between 62 and 67."""


def study() -> pd.DataFrame:
    return table(
        episodes(CLEAN),
        episodes([score - 10 for score in CLEAN], attack="pgd", eps=0.1),
        episodes([score - 20 for score in CLEAN], attack="pgd", eps=0.1, perturbation="mass", factor=1.5),
        episodes([score - 30 for score in CLEAN], perturbation="mass", factor=1.5, flags="unstable-physics;nan-action"),
    )


def written(folder: Path, text: str) -> list[Gate]:
    (folder / "gates.toml").write_text(text)
    return read_gates(folder / "gates.toml")


# ---- what passes


def test_by_default_the_lower_end_of_the_interval_must_reach_the_limit() -> None:
    frame = table(episodes(CLEAN))
    assert failures([Gate(chosen={}, min_score=62)], frame) == []
    (sentence,) = failures([Gate(chosen={}, min_score=69)], frame)
    assert sentence.startswith(
        "gate of all conditions: micro, clean: the lower end of the 95 % interval of the score is 6"
    )
    assert sentence.endswith(", expected at least 69.")
    assert failures([Gate(chosen={}, min_score=69, by="mean")], frame) == []
    assert failures([Gate(chosen={}, min_score=70, by="mean")], frame) == []  # 70 is at least 70
    (sentence,) = failures([Gate(chosen={}, min_score=70.5, by="mean")], frame)
    assert sentence == "gate of all conditions: micro, clean: the mean score is 70, expected at least 70.5."


@pytest.mark.parametrize(
    ("chosen", "failed"),
    [
        ({}, ["clean", "pgd eps 0.1", "mass 1.5", "pgd eps 0.1 with mass 1.5"]),
        ({"attack": "pgd"}, ["pgd eps 0.1", "pgd eps 0.1 with mass 1.5"]),
        ({"attack": "pgd", "perturbation": "none"}, ["pgd eps 0.1"]),
        ({"perturbation": "mass", "factor": 1.5, "attack": "none"}, ["mass 1.5"]),
        ({"policy": "micro", "attack": "none", "perturbation": "none"}, ["clean"]),
    ],
)
def test_a_gate_is_for_all_conditions_that_agree_with_it(chosen: dict[str, str | float], failed: list[str]) -> None:
    sentence = failures([Gate(chosen=chosen, min_score=1000)], study())
    assert [sentence.split(": the ")[0].split("micro, ")[1] for sentence in sentence] == failed


def test_the_change_is_bounded_in_points() -> None:
    """All pairs differ by exactly 10, 20 and 30 points, so the intervals of the change have no width."""
    assert failures([Gate(chosen={}, min_change=-30)], study()) == []
    (sentence,) = failures([Gate(chosen={}, min_change=-29)], study())
    assert (
        "micro, mass 1.5: the lower end of the 95 % interval of the Δ vs. clean is -30, expected at least -29."
        in sentence
    )


def test_flagged_episodes_are_counted_once() -> None:
    assert failures([Gate(chosen={}, max_flagged=10)], study()) == []
    assert failures([Gate(chosen={}, max_flagged=9)], study()) == [
        "gate of all conditions: 10 episodes are flagged, expected at most 9."
    ]
    assert failures([Gate(chosen={"attack": "pgd"}, max_flagged=0)], study()) == []


def test_too_few_episodes_fail() -> None:
    one = table(episodes([90.0]))
    (sentence,) = failures([Gate(chosen={}, min_score=10)], one)
    assert "one episode gives no interval" in sentence
    assert failures([Gate(chosen={}, min_score=10, by="mean")], one) == []


def test_lost_episodes_fail_whatever_the_others_are() -> None:
    lost = episodes(CLEAN)
    lost[0] |= {"score": float("nan"), "return": float("nan"), "flags": "nan-action"}
    (sentence,) = failures([Gate(chosen={}, min_score=-1000, by="mean")], table(lost))
    assert sentence.endswith("1 of 10 episodes have no return, so the gate fails.")


def test_fail_under_takes_the_unit_of_the_table() -> None:
    unscored = table([row | {"score": float("nan")} for row in episodes(CLEAN)])  # returns are 20 times the scores
    assert failures([fail_under(1200)], unscored) == []
    assert len(failures([fail_under(1400)], unscored)) == 1
    assert failures([Gate(chosen={}, min_return=1200)], unscored) == []


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            Gate(chosen={"attack": "fgsm", "eps": 0.1}, min_score=1),
            "gate attack = 'fgsm', eps = 0.1 matches no condition",
        ),
        (Gate(chosen={}, min_return=1), "use min_score"),
        (
            Gate(chosen={"attack": "none", "perturbation": "none"}, min_change=1),
            "clean has no paired clean episodes",
        ),
    ],
)
def test_a_gate_that_can_say_nothing_is_a_mistake(gate: Gate, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        failures([gate], study())


def test_a_change_without_clean_episodes_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"pgd eps 0\.1 has no paired clean episodes"):
        failures([Gate(chosen={}, min_change=-5)], table(episodes(CLEAN, attack="pgd", eps=0.1)))


# ---- the file


def test_a_file_of_gates(tmp_path: Path) -> None:
    gates = written(
        tmp_path,
        "max_flagged = 0\n"
        '[[gate]]\nattack = "pgd"\neps = 0.1\nmin_score = 60\nby = "mean"\n'
        '[[gate]]\nperturbation = "mass"\nfactor = 1.5\nmin_change = -10.5\n',
    )
    assert gates == [
        Gate(chosen={"attack": "pgd", "eps": 0.1}, min_score=60, by="mean"),
        Gate(chosen={"perturbation": "mass", "factor": 1.5}, min_change=-10.5),
        Gate(chosen={}, max_flagged=0),
    ]


def test_the_documented_file_is_one(tmp_path: Path) -> None:
    document = (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")
    gates = written(tmp_path, document.split("```toml\n")[1].split("```")[0])
    assert [str(gate) for gate in gates] == [
        "gate attack = 'pgd', eps = 0.1",
        "gate perturbation = 'mass', factor = 1.5, attack = 'none'",
        "gate of all conditions",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no gate"),
        ("[[gate]", "is not TOML"),
        ("[gate]\nmin_score = 1", "double brackets"),
        ("[[gate]]\nattack = 'pgd'", "in gate 1: the gate has no limit; give one of min_score"),
        ("[[gate]]\nmin_scores = 1", "in gate 1: there is no key 'min_scores'; did you mean min_score?"),
        ("[[gate]]\ncolour = 1", "expected policy, attack"),
        ("min_score = 1", "at its top: there is no key 'min_score'"),
        ("[[gate]]\nmin_score = 1\n[[gate]]\nmin_score = '60'", "in gate 2: min_score is '60'; expected a number"),
        ("[[gate]]\nmin_score = true", "expected a number"),
        ("[[gate]]\nmax_flagged = 0.5", "expected a whole number"),
        ("[[gate]]\nattack = 1\nmin_score = 1", "expected a text"),
        ("[[gate]]\nmin_score = 1\nby = 'median'", "by is 'median'; expected"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("?", r"\?")) as error:
        written(tmp_path, text)
    assert "gates.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_level_of_fewer_runs_than_clean_keeps_no_limit() -> None:
    """Run 0 alone would pass; of run 1 nothing is known. The change is over the run that both have, and is kept."""
    frame = table(
        *(episodes([90.0, 91.0, 92.0], train_seed=seed, checkpoint=str(seed) * 64) for seed in (0, 1)),
        episodes([89.0, 90.0, 91.0], attack="pgd", eps=0.1, checkpoint="0" * 64),
    )
    (failed,) = failures([Gate(chosen={"attack": "pgd"}, min_score=50)], frame)
    assert "1 of the 2 training runs that clean has" in failed
    assert failures([Gate(chosen={"attack": "pgd"}, min_change=-2)], frame) == []


@pytest.mark.parametrize(
    "line",
    [
        "min_score = nan",
        "min_score = inf",
        "min_return = -inf",
        "min_change = true",
        f"min_score = {10**400}",
        "max_flagged = -1",
        "max_flagged = 1e3",
        f"max_flagged = {2**70}",
        "eps = nan\nmin_score = 1",
        "factor = inf\nmin_score = 1",
        "policy = 3\nmin_score = 1",
        "by = [[[]]]\nmin_score = 1",
    ],
)
def test_a_limit_that_nothing_or_everything_keeps_is_a_mistake(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match=r"gates\.toml, in gate 1: .* expected"):
        written(tmp_path, f"[[gate]]\n{line}\n")


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000 + "]" * 5000,
        f"min_score = {'9' * 5000}",
        "a." * 30000 + "a = 1",
        "\0",
        "gate = 1",
        "[gate]\n",
        "x" * (1 << 17),
        f"[[gate]]\n{'k' * 9000} = 1",
    ],
)
def test_a_hostile_file_of_gates_is_one_short_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"gates\.toml") as caught:
        written(tmp_path, text)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("limit", [float("nan"), float("inf")])
def test_fail_under_is_a_finite_number(limit: float) -> None:
    with pytest.raises(ValueError, match=r"--fail-under is .*; expected a finite number"):
        fail_under(limit)
