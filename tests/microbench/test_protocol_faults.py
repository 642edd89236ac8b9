"""Faults of earlier evaluation protocols that have no test where the code is; docs/deviations.md lists all of them."""

import inspect
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from microbench.environment import make_env

TESTS = Path(__file__).resolve().parent.parent


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


def test_every_known_fault_has_a_test_named_after_it() -> None:
    named = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def test_([ade]\d+)_", path.read_text(), re.M)
    }
    attacks = {f"a{number}" for number in range(1, 19)}
    protocol = {f"e{number}" for number in range(1, 9)}
    dynamics = {f"d{number}" for number in range(1, 12)}
    assert (attacks | protocol | dynamics) - named == set()
