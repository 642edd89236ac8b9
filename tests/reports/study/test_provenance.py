"""Where results come from, as the JSON beside them tells it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from reports.rows.sidecars import complaints
from reports.study import provenance
from tests.reports.small_study import SIDECAR

RUNS = provenance.runs_of(SIDECAR)


def test_commands_can_be_typed_again() -> None:
    assert provenance.commands([*RUNS, RUNS[0]]) == [
        "microbench attack runs/latest --eps 0.1 --attack 'my attacks:fgsm'",
        "microbench perturb runs/latest",
    ]


def test_commands_name_the_policy_file_that_they_took() -> None:
    run = {"command": ["microbench", "attack", "--eps", "0.1"], "checkpoint": "0f3a92c1b5" + "0" * 54}
    other = run | {"checkpoint_path": "runs/hopper-micro-s1/policy.safetensors"}
    assert provenance.again([run, other, other, {"command": "python evaluate.py"}]) == [
        "microbench attack --eps 0.1  # policy SHA-256 0f3a92c1b500",
        "microbench attack --eps 0.1  # policy runs/hopper-micro-s1/policy.safetensors, SHA-256 0f3a92c1b500",
        "python evaluate.py",
    ]


def test_machines_and_days_are_told_as_far_as_they_are_known() -> None:
    here = {"processor": "Xeon", "threads": 2, "commit": "1" * 40}
    days = [here | {"date": f"2026-11-{day}T10:00:00+00:00"} for day in (28, 27)]
    assert provenance.machines([*days, {}, {"processor": "M5", "commit": None}]) == [
        {
            "date (UTC)": "2026-11-27T10:00:00+00:00 to 2026-11-28T10:00:00+00:00",
            **{"processor": "Xeon", "threads": "2", "commit": "1" * 40},
        },
        {"processor": "M5"},
    ]
    assert provenance.machines(RUNS) == []


def test_every_content_of_a_named_file_is_told_once() -> None:
    files = {"c.safetensors": "1" * 64}
    runs: list[dict[str, Any]] = [
        {"attacks": {"min-q": {"files": files}, "fgsm": {"files": {}}}},
        {"perturbations": {"m:f": {"files": files}}},
    ]
    assert provenance.named_files([*runs, {"attacks": [1]}, {"attacks": {"a": 1}}]) == [
        {"file": "c.safetensors", "SHA-256": "1" * 64}
    ]


def test_equal_versions_are_told_once_and_different_ones_both() -> None:
    assert len(provenance.version_sets(RUNS)) == 1
    assert len(provenance.version_sets([*RUNS, {"versions": {"mujoco": "3.9.0"}}])) == 2


def test_times_are_added_up() -> None:
    assert provenance.seconds(RUNS) == pytest.approx(85.2)
    assert provenance.seconds([{}, {"seconds": "unknown"}]) == 0


def test_effects_name_fields_and_signals_and_the_newest_run_counts() -> None:
    newer = {"effects": [{"perturbation": "latency", "factor": 2, "physics": {}, "signals": []}]}
    assert provenance.effects([*RUNS, newer]) == [
        {"perturbation": "latency", "factor": "2", "change": "nothing"},
        {"perturbation": "mass", "factor": "1.5", "change": "body_mass by up to 2.03, body_inertia by up to 0.4"},
        {"perturbation": "stiffness", "factor": "2", "change": "nothing"},
    ]
    assert provenance.effects(RUNS)[0]["change"] == "the signal latency"


def test_a_sidecar_without_runs_is_one() -> None:
    assert provenance.commands(provenance.runs_of({"command": "python evaluate.py"})) == ["python evaluate.py"]


@pytest.mark.parametrize("sidecar", [None, {}, {"runs": "none"}, {"runs": [1]}])
def test_a_sidecar_of_another_form_tells_nothing(sidecar: dict[str, object] | None) -> None:
    runs = provenance.runs_of(sidecar)
    assert (runs, provenance.commands(runs), provenance.effects(runs)) == ([], [], [])


EFFECT = {"perturbation": "mass", "factor": 1.5}
CHOICE = {
    "checkpoint": "a",
    "task": "t",
    "eps": 0.1,
    "unit": "raw",
    "norm": "linf",
    "perturbation": "none",
    "factor": 1,
}


@pytest.mark.parametrize(
    ("run", "place"),
    [
        (1, r"runs\[0\] is 1, expected an object"),
        ({"command": 3}, r"runs\[0\]\.command is 3, expected a text"),
        ({"command": [[]]}, r"command\[0\] is \[\], expected a text or a number"),
        ({"versions": ["0.1"]}, r"versions is \['0\.1'\], expected an object"),
        ({"conditions": {"unit": {}}}, r"conditions\.'unit' is {}"),
        ({"seconds": "long"}, "seconds is 'long', expected a finite number"),
        ({"seconds": 10**400}, "seconds is .*, expected a finite number"),
        ({"seconds": float("nan")}, "seconds is nan, expected a finite number"),
        ({"effects": {}}, "effects is {}, expected a list"),
        ({"effects": [{"factor": 1.0}]}, r"effects\[0\] has no perturbation"),
        ({"effects": [EFFECT | {"factor": "x"}]}, r"effects\[0\]\.factor is 'x'"),
        ({"effects": [EFFECT | {"physics": {"body_mass": None}}]}, r"physics\.'body_mass' is None"),
        ({"effects": [EFFECT | {"signals": "latency"}]}, "signals is 'latency', expected a list"),
        ({"worst": [CHOICE]}, r"worst\[0\] has no attack"),
        ({"worst": [CHOICE | {"attack": "pgd", "margin": [1.0]}]}, r"margin is \[1\.0\], expected a list of 3"),
        ({"worst": [CHOICE | {"attack": "pgd", "eps": True}]}, "eps is True"),
        ({"critics": {"a.safetensors": {}}}, r"critics\.'a\.safetensors' has no sha256"),
    ],
)
def test_a_part_of_another_form_is_left_out_and_said_to_be(run: object, place: str) -> None:
    (sentence,) = complaints({"runs": [run, {"seconds": 2.0}]})
    assert re.search(place, sentence)
    *before, last = provenance.runs_of({"runs": [run, {"seconds": 2.0}]})
    assert last == {"seconds": 2.0}
    assert provenance.seconds(before) == 0
    assert (provenance.commands(before), provenance.version_sets(before), provenance.effects(before)) == ([], [], [])


def test_a_good_part_stays_beside_one_of_another_form() -> None:
    run = {"effects": [EFFECT, {"factor": 1.0}], "seconds": "long", "command": "x"}
    assert provenance.runs_of({"runs": [run]}) == [{"effects": [EFFECT], "command": "x"}]
    assert complaints(SIDECAR) == []


def test_what_nobody_reads_may_have_any_form() -> None:
    run = {"mine": [[[1]]], "claim": None, "effects": None}
    assert provenance.runs_of({"runs": [run]}) == [{"mine": [[[1]]]}]
    assert complaints({"runs": [run]}) == []


def test_what_a_sidecar_says_is_shown_without_control_characters() -> None:
    run = {"command": ["a\x1b[2J"], "versions": {"m\u202e": "1"}, "effects": [EFFECT | {"signals": ["\x07"]}]}
    assert provenance.commands([run]) == [r"'a\x1b[2J'"]
    assert provenance.version_sets([run]) == [{r"m\u202e": "1"}]
    assert provenance.effects([run])[0]["change"] == r"the signal \x07"


def test_the_sidecars_of_several_files_are_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"runs": [RUNS[0]]}))
    (tmp_path / "b.json").write_text(json.dumps({"runs": [RUNS[1]]}))
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "foreign.json").write_text('{"command": "python evaluate.py"}')
    names = ("a", "b", "without", "empty")
    assert provenance.read_sidecars([tmp_path / f"{name}.csv" for name in names]) == SIDECAR
    assert provenance.read_sidecars([tmp_path / "foreign.csv"]) == {"runs": [{"command": "python evaluate.py"}]}


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"runs": [1]}', '{"seconds": NaN}', "[" * 100_000, '{"a": ' * 40 + "1" + "}" * 40, "9" * 5000],
)
def test_a_damaged_sidecar_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        provenance.read_sidecars([tmp_path / "a.csv"])
