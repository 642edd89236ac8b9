"""Every built-in perturbation of the physics on seven robots: it changes the motion, or it is known not to."""

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from mujoco import MjModel

from perturbations import PERTURBATIONS, is_no_op

Floats = npt.NDArray[np.float64]
ROBOTS = ("hopper", "half_cheetah", "walker2d", "ant", "swimmer", "inverted_pendulum", "humanoid")
PHYSICS = [name for name, record in PERTURBATIONS.items() if not record.disturbs]
UNTOUCHED = {"swimmer", "inverted_pendulum"}  # nothing can collide with them
EVEN = {"half_cheetah", "ant", "humanoid"}  # floor and robot have the same friction

NO_OPS = {
    "friction": UNTOUCHED,
    "limb-size": UNTOUCHED,
    "gravity": {"swimmer"},  # it moves across gravity
    "damping": {"swimmer"},
    "armature": {"inverted_pendulum"},
    "stiffness": set(ROBOTS) - {"half_cheetah", "humanoid"},
    "frictionloss": set(ROBOTS),
    "compat:rrls-friction": EVEN | {"hopper", "walker2d", "swimmer"},
    "compat:odrl-friction": EVEN | UNTOUCHED,
    "compat:micro-gravity": {"hopper", "walker2d"},
}
REFUSED = {
    "compat:rrls-friction": {"inverted_pendulum"},  # it has no floor
    "compat:micro-gravity": {"ant", "swimmer", "inverted_pendulum", "humanoid"},
}


@functools.cache
def control(robot: str, compiled: Callable[[str], MjModel], trajectory: Callable[..., Floats]) -> Floats:
    model, same = compiled(robot), PERTURBATIONS["mass"](1.0)(compiled(robot))
    moved = trajectory(model, STEPS)
    assert np.array_equal(moved, trajectory(same, STEPS))  # built the same way, it moves the same way
    return moved


STEPS = 150
FALLEN = {"hopper": [("floor", "torso_geom"), ("floor", "thigh_geom"), ("floor", "leg_geom")]}
"""Pairs that only touch when the episode is over, and do not touch within these steps."""


@pytest.mark.parametrize("name", PHYSICS)
@pytest.mark.parametrize("robot", ROBOTS)
def test_it_changes_the_trajectory_or_is_a_no_op(
    robot: str, name: str, compiled: Callable[[str], MjModel], trajectory: Callable[..., Floats]
) -> None:
    model, change = compiled(robot), PERTURBATIONS[name](0.7)
    if robot in REFUSED.get(name, ()):
        with pytest.raises(ValueError, match=r"has no floor|MICRO perturbs"):
            change(model)
        return
    perturbed = change(model)
    moved = np.abs(trajectory(perturbed, STEPS) - control(robot, compiled, trajectory)).max()
    if robot in NO_OPS.get(name, ()):
        assert is_no_op(model, perturbed, FALLEN.get(robot, ()))
        assert moved == 0
    else:
        assert not is_no_op(model, perturbed, FALLEN.get(robot, ()))
        assert moved > 1e-6
