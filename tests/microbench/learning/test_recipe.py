"""A recipe: what makes two runs seeds of one policy, and nothing else."""

import dataclasses
from typing import Any

import pytest

from microbench.learning.config import TrainConfig
from microbench.learning.recipe import WATCHING, recipe_of
from tests.microbench import toys

CONFIG = toys.small_config()
PLAIN = recipe_of(toys.dataset(), "micro", CONFIG)
OTHER: dict[str, Any] = {
    "gap_estimator": "paired",
    "gap_precision": "bfloat16",
    "alpha": 0.3,
    "max_alpha": None,
    "max_dynamics_epochs": None,
    "gamma": 0.5,
    "tau": 0.5,
    "real_ratio": 0.5,
    "elites": 2,
}


def other(name: str) -> Any:
    """Another value of the setting that is allowed."""
    value = getattr(CONFIG, name)
    if name in OTHER:
        return OTHER[name]
    if isinstance(value, bool):
        return not value
    return tuple(size + 1 for size in value) if isinstance(value, tuple) else value + 1


def test_it_is_short_and_the_same_every_time() -> None:
    assert recipe_of(toys.dataset(), "micro", toys.small_config()) == PLAIN
    assert len(PLAIN) == 12


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(TrainConfig)])
def test_every_hyperparameter_counts_but_those_that_only_watch(name: str) -> None:
    changed = toys.small_config(**{name: other(name)})
    assert (recipe_of(toys.dataset(), "micro", changed) == PLAIN) == (name in WATCHING)


@pytest.mark.parametrize("change", [{"sha256": "1"}, {"rows": "strict"}, {"env_id": "Hopper-v4"}])
def test_the_rows_and_the_task_count_and_a_name_does_not(change: dict[str, Any]) -> None:
    data = toys.dataset()
    assert recipe_of(dataclasses.replace(data, **change), "micro", CONFIG) != PLAIN
    assert recipe_of(dataclasses.replace(data, name="renamed"), "micro", CONFIG) == PLAIN
    assert recipe_of(data, "sac", CONFIG) != PLAIN
