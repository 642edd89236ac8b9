"""Ant-v5 and Humanoid, whose observations and rewards contain contact forces, as pure functions of many rows.

They equal Gymnasium bit for bit, as `locomotion` does. Sums over a row run over contiguous memory, as Gymnasium's do
over an MjData, so that they add in the same order. Humanoid takes its control cost from `data.ctrl`, in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from microbench.tasks.locomotion import control_cost, without_xy
from microbench.tasks.physics import Actions, Bools, Floats, State


def mass_center_x(state: State) -> Floats:
    """The x of the centre of mass, (b,), one physics step behind the state; the world's body counts with mass 0."""
    mass = state.derived["body_mass"]
    weighted = np.einsum("nb,nbj->nj", mass, state.derived["xipos"])
    x: Floats = weighted[:, 0] / mass.sum(axis=1)
    return x


def with_contact_forces(state: State) -> Floats:
    """Ant-v5: the state without its place in the plane, then every body's contact force cut to ±1."""
    forces = np.clip(state.derived["cfrc_ext"][:, 1:], -1.0, 1.0)
    return np.concatenate([without_xy(state), _flat(forces)], axis=1)


def v4_humanoid(state: State) -> Floats:
    """The state without its place in the plane, then inertia, velocity, actuator and contact force of all bodies."""
    fields = (state.derived[name] for name in ("cinert", "cvel", "qfrc_actuator", "cfrc_ext"))
    return np.concatenate([without_xy(state), *map(_flat, fields)], axis=1)


def v5_humanoid(state: State) -> Floats:
    """As -v4 without the world's body, which is always 0, and without the six unactuated degrees of freedom."""
    derived = state.derived
    bodies = [_flat(derived[name][:, 1:]) for name in ("cinert", "cvel")]
    forces = [derived["qfrc_actuator"][:, 6:], _flat(derived["cfrc_ext"][:, 1:])]
    return np.concatenate([without_xy(state), *bodies, *forces], axis=1)


def humanoid_falls(state: State) -> Bools:
    """Not (1 < height < 2)."""
    height = state.qpos[:, 2]
    standing: Bools = (height > 1.0) & (height < 2.0)
    return ~standing


def v5_ant_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """Velocity + [healthy] − (0.5 · |a|² + 0.0005 · |contact forces cut to ±1|²)."""
    contact = 5e-4 * _sum_of_squares(np.clip(state.derived["cfrc_ext"], -1.0, 1.0))
    return velocity + ~fallen * 1.0 - (control_cost(action, 0.5) + contact)


def v4_humanoid_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """1.25 · velocity + 5 − 0.1 · |a|²; the 5 is part of the terminal step's reward too."""
    return 1.25 * velocity + 5.0 - control_cost(action.astype(np.float64), 0.1)


def v5_humanoid_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """1.25 · velocity + 5 · [healthy] − (0.1 · |a|² + 5e−7 · |contact forces|², the latter at most 10)."""
    contact = np.minimum(5e-7 * _sum_of_squares(state.derived["cfrc_ext"]), 10.0)
    return 1.25 * velocity + ~fallen * 5.0 - (control_cost(action.astype(np.float64), 0.1) + contact)


def _flat(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return rows.reshape(len(rows), -1)


def _sum_of_squares(rows: Floats) -> Floats:
    total: Floats = _flat(np.square(rows)).sum(axis=1)
    return total
