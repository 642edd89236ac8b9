"""From the text of an attack to what a chunk is attacked with."""

import dataclasses

import pytest
import torch

from attacks import ATTACKS, Memory, Target
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions, attacked, ball, each_sensor, find_attack
from microbench.evaluation.plan import CLEAN, Cell
from microbench.evaluation.sensors import sensor_names
from microbench.tasks import find_task

TASK = find_task("Hopper-v4")
HOPPER = Conditions(env_id="Hopper-v4", unit="raw")
LOW, HIGH = torch.full((11,), -1.0), torch.full((11,), 3.0)
TARGET = Target(policy=lambda obs: obs[:, :3], obs_scale={"raw": torch.arange(1.0, 12.0)}, obs_bounds=(LOW, HIGH))


def test_clean_rows_have_no_attack() -> None:
    under = attacked(TARGET, TASK, HOPPER, [CLEAN, CLEAN])
    assert (under.target, under.attack, under.threat) == (TARGET, None, None)


def test_the_budget_is_per_row_and_in_the_unit() -> None:
    under = attacked(TARGET, TASK, HOPPER, [Cell(attack="pgd", eps=0.1), Cell(attack="pgd", eps=0.5)])
    assert under.attack is ATTACKS["pgd"]
    assert under.threat is not None
    assert under.threat.half_width[:, 10].tolist() == pytest.approx([1.1, 5.5])
    assert (under.threat.unit, under.threat.norm, under.threat.low, under.threat.high) == ("raw", "linf", None, None)


def test_sensors_close_all_others() -> None:
    under = attacked(TARGET, TASK, HOPPER, [Cell(attack="pgd(steps=3)@foot_joint+0", eps=0.1)])
    assert under.threat is not None
    assert under.threat.scale.tolist() == [1.0, 0, 0, 0, 5.0, *[0] * 6]
    assert under.attack == dataclasses.replace(ATTACKS["pgd"], steps=3)  # type: ignore[type-var]  # a record


def test_the_range_of_the_data_bounds_what_is_shown_and_no_memory() -> None:
    memory = Memory(start=torch.zeros(2), advance=lambda seen, obs: obs[:, 11:])
    recurrent = dataclasses.replace(TARGET, memory=memory)
    ranged = dataclasses.replace(HOPPER, norm="l2", in_range=True)
    under = attacked(recurrent, TASK, ranged, [Cell(attack="pgd", eps=0.1)])
    assert under.threat is not None
    assert under.threat.norm == "l2"
    assert under.threat.scale[11:].tolist() == [0, 0]
    assert under.threat.low is not None
    assert under.threat.high is not None
    assert under.threat.low.tolist() == [-1.0] * 11 + [float("-inf")] * 2
    assert under.threat.high.tolist() == [3.0] * 11 + [float("inf")] * 2
    with pytest.raises(ValueError, match="range of the data's observations is not known"):
        attacked(dataclasses.replace(TARGET, obs_bounds=None), TASK, ranged, [Cell(attack="pgd", eps=0.1)])


def test_norms_are_read_in_one_place() -> None:
    assert [ball(text) for text in ("linf", "l2", "linf,in-range")] == [
        ("linf", False),
        ("l2", False),
        ("linf", True),
    ]
    for text, sentence in (
        ("l1", "no norm 'l1'"),
        ("linf,inside", "alone or followed by ,in-range"),
        ("linf,", "is no"),
    ):
        with pytest.raises(UserError, match=sentence):
            ball(text)


@pytest.mark.parametrize("text", ["linf", "l2", "linf,in-range", "l2,in-range"])
def test_results_name_the_norm_as_it_can_be_typed(text: str) -> None:
    norm, in_range = ball(text)
    assert dataclasses.replace(HOPPER, norm=norm, in_range=in_range).norm_column == text


def test_each_sensor_becomes_a_cell_of_its_own() -> None:
    cells = each_sensor(TASK, [CLEAN, Cell(attack="pgd(steps=3)@each", eps=0.1), Cell(attack="fgsm@0", eps=0.2)])
    names = [f"pgd(steps=3)@{name}" for name in sensor_names(TASK)]
    assert [cell.attack for cell in cells] == ["none", *names, "fgsm@0"]
    assert {cell.eps for cell in cells[1:-1]} == {0.1}
    with pytest.raises(UserError, match="no sensor 'nose'"):
        each_sensor(TASK, [Cell(attack="pgd@nose", eps=0.1)])


def test_attacks_are_found_by_name_with_settings_and_sensors() -> None:
    assert find_attack("pgd@each") is ATTACKS["pgd"]
    assert find_attack("compat:rorl-min-q") is ATTACKS["compat:rorl-min-q"]
    with pytest.raises(ValueError, match="did you mean 'pgd'"):
        find_attack("pdg@0")
