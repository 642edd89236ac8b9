"""Rows of the batched simulator put back where they were, bit for bit."""

import numpy as np
import pytest

from microbench.simulators.contract import BatchedSimulator, nominal_model
from microbench.tasks import TASKS, find_task
from microbench.tasks.physics import Actions
from perturbations import parse

IDS = sorted(env_id for env_id, task in TASKS.items() if task.physics is not None)


def simulator_of(env_id: str) -> BatchedSimulator:
    task = find_task(env_id)
    nominal = nominal_model(task)
    return BatchedSimulator(task, [nominal, parse("mass=1.3")(nominal), nominal])


def moved(simulator: BatchedSimulator, actions: Actions, ids: np.ndarray) -> list[np.ndarray]:
    """Everything that comes of actions (steps, b, A)."""
    return [part for action in actions for part in simulator.step(action, ids)]


def actions_of(simulator: BatchedSimulator, steps: int, seed: int) -> Actions:
    shape = (steps, simulator.n, simulator.task.action_size)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def assert_equal(parts: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for one, other in zip(parts, wanted, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("env_id", IDS)
def test_restored_rows_repeat_themselves(env_id: str) -> None:
    simulator, ids = simulator_of(env_id), np.arange(3)
    simulator.reset([1, 2, 3])
    moved(simulator, actions_of(simulator, 5, seed=0), ids)
    then, actions = simulator.snapshot(ids), actions_of(simulator, 15, seed=1)
    first = moved(simulator, actions, ids)
    moved(simulator, actions_of(simulator, 3, seed=2), ids)  # elsewhere, with other forces in the solver
    simulator.restore(ids, then)
    assert_equal(moved(simulator, actions, ids), first)


@pytest.mark.parametrize("env_id", IDS)
def test_copies_do_what_their_rows_do(env_id: str) -> None:
    simulator, ids = simulator_of(env_id), np.arange(3)
    simulator.reset([1, 2, 3])
    moved(simulator, actions_of(simulator, 5, seed=0), ids)
    copies, rows = simulator.copies(2), np.arange(6)
    copies.restore(rows, simulator.snapshot(ids).repeated(2))
    actions = actions_of(simulator, 10, seed=1)
    parts = moved(copies, actions.repeat(2, axis=1), rows)
    assert_equal(parts, [part.repeat(2, axis=0) for part in moved(simulator, actions, ids)])


def test_only_the_named_rows_move() -> None:
    simulator, rows = simulator_of("Hopper-v4"), np.array([0, 2])
    simulator.reset([1, 2, 3])
    then = simulator.snapshot(rows)
    actions = actions_of(simulator, 4, seed=0)
    moved(simulator, actions, np.arange(3))
    alone = simulator.positions[1]
    simulator.restore(rows, then)
    assert np.array_equal(simulator.positions[1], alone)
    assert np.array_equal(simulator.snapshot(rows).state, then.state)
    assert then.elapsed.tolist() == [0, 0]
    assert simulator.snapshot(np.array([1])).elapsed.tolist() == [4]


@pytest.mark.parametrize("env_id", ["Hopper-v4", "Humanoid-v4"])
def test_a_reset_of_physics_is_remembered(env_id: str) -> None:
    simulator, ids = simulator_of(env_id), np.arange(3)
    simulator.reset([1, 2, 3])
    whole = simulator.snapshot(ids)
    blow = np.full((3, nominal_model(simulator.task).nbody, 6), 1e30)
    simulator.step(np.zeros((3, simulator.task.action_size), np.float32), ids, blow)
    assert simulator.unstable.all()
    broken = simulator.snapshot(ids)
    simulator.restore(ids, whole)
    assert not simulator.unstable.any()
    simulator.restore(ids, broken)
    assert simulator.unstable.all()
