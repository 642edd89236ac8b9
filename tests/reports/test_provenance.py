"""Where results come from, as the JSON beside them tells it."""

import json
from pathlib import Path
from typing import Any

import pytest

from reports.numbers import provenance
from tests.reports.study import SIDECAR

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


def test_the_sidecars_of_several_files_are_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"runs": [RUNS[0]]}))
    (tmp_path / "b.json").write_text(json.dumps({"runs": [RUNS[1]]}))
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "foreign.json").write_text('{"command": "python evaluate.py"}')
    names = ("a", "b", "without", "empty")
    assert provenance.read_sidecars([tmp_path / f"{name}.csv" for name in names]) == SIDECAR
    assert provenance.read_sidecars([tmp_path / "foreign.csv"]) == {"runs": [{"command": "python evaluate.py"}]}


@pytest.mark.parametrize("content", ["{", "[]", '{"runs": [1]}'])
def test_a_damaged_sidecar_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        provenance.read_sidecars([tmp_path / "a.csv"])
