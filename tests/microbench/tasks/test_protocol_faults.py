"""Faults of earlier evaluation protocols that have no test where the code is; docs/deviations.md lists all of them."""

import inspect
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from microbench.tasks.environment import make_env

DEVIATIONS = Path(__file__).parents[3] / "docs" / "deviations.md"


@pytest.mark.parametrize("env_id", ["Hopper-v4", "HalfCheetah-v5", "AntContactForces-v4", "InvertedPendulum-v4"])
def test_environments_keep_gymnasiums_step(env_id: str) -> None:
    """One array in, five values out: no dictionary as the action, no further argument."""
    env = make_env(env_id)
    assert isinstance(env, gymnasium.Env)
    assert list(inspect.signature(env.step).parameters) == ["action"]
    env.reset(seed=0)
    moved = env.step(np.zeros(env.action_space.shape or (), np.float32))
    assert [type(part) for part in moved[2:]] == [bool, bool, dict]
    assert env.observation_space.contains(moved[0])
    assert np.isfinite(float(moved[1]))
    env.close()


def test_every_known_fault_has_a_test() -> None:
    """That the cited ones exist is tested in tests/test_repository.py."""
    listed = DEVIATIONS.read_text("utf-8").partition("## Faults of earlier code")[2]
    faults = [line for line in listed.splitlines() if line.startswith("| ")][1:]
    assert len(faults) >= 30
    assert [fault for fault in faults if "::test_" not in fault.rpartition(" | ")[2]] == []
