"""Names of sensors: of joints where they are shown as they are, numbers where not."""

import numpy as np
import pytest

from microbench.errors import UserError
from microbench.evaluation.sensors import chosen, sensor_names
from microbench.tasks import TASKS, find_task

HOPPER = find_task("Hopper-v4")


def test_hoppers_sensors_by_hand() -> None:
    # Gymnasium's documentation: positions without x, then velocities.
    joints = ["rootz", "rooty", "thigh_joint", "leg_joint", "foot_joint"]
    moving = [f"{name}.velocity" for name in ("rootx", *joints)]
    assert sensor_names(HOPPER) == (*joints, *moving)


@pytest.mark.parametrize("env_id", TASKS)
def test_every_sensor_has_one_name_of_its_own_or_its_number(env_id: str) -> None:
    task = find_task(env_id)
    names = sensor_names(task)
    assert len(names) == task.obs_size
    assert len(set(names)) == len(names)
    assert all(name == str(number) for number, name in enumerate(names) if name.isdecimal())


def test_what_is_no_coordinate_has_a_number() -> None:
    names = sensor_names(find_task("Ant-v5"))
    assert names[:3] == ("root.z", "root.qw", "root.qx")
    assert names[27:] == tuple(map(str, range(27, 105)))  # contact forces


def test_names_numbers_and_groups_are_chosen() -> None:
    foot = np.arange(11) == 4
    assert chosen(HOPPER, ["foot_joint"]).tolist() == foot.tolist()
    assert chosen(HOPPER, ["4"]).tolist() == foot.tolist()
    assert chosen(HOPPER, ["positions"]).tolist() == (np.arange(11) < 5).tolist()
    assert chosen(HOPPER, ["velocities", "0"]).tolist() == ((np.arange(11) >= 5) | (np.arange(11) == 0)).tolist()


@pytest.mark.parametrize(
    ("task", "sensor", "sentence"),
    [
        ("Hopper-v4", "foot", "there is no sensor 'foot': did you mean 'foot_joint'"),
        ("Hopper-v4", "11", "there is no sensor '11'"),
        ("pen-v1", "positions", "has no sensors of positions; number its sensors from 0"),
    ],
)
def test_an_unknown_sensor_is_told(task: str, sensor: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        chosen(find_task(task), [sensor])
