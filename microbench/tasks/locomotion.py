"""Observations, rewards and termination of Gymnasium's locomotion tasks, as pure functions of many rows.

Every row equals, bit for bit, the result of the Gymnasium environment for that row alone. The operations and their
order are the same. The control cost has the action's own dtype, because Gymnasium multiplies a Python float by the
float32 sum of squares.
"""

from __future__ import annotations

import numpy as np

from microbench.tasks.physics import Actions, Bools, Floats, State


def uniform_noise(rng: np.random.Generator, nq: int, nv: int, *, scale: float) -> tuple[Floats, Floats]:
    """Both qpos and qvel uniform on [−scale, scale], in this order."""
    qpos = rng.uniform(low=-scale, high=scale, size=nq)
    return qpos, rng.uniform(low=-scale, high=scale, size=nv)


def normal_velocity_noise(rng: np.random.Generator, nq: int, nv: int, *, scale: float) -> tuple[Floats, Floats]:
    """Qpos uniform on [−scale, scale], then qvel normal with standard deviation `scale`."""
    qpos = rng.uniform(low=-scale, high=scale, size=nq)
    return qpos, scale * rng.standard_normal(nv)


def root_x(state: State) -> Floats:
    """The first coordinate, along the track."""
    return state.qpos[:, 0]


def torso_x(state: State) -> Floats:
    """The x of body 1, one physics step behind the state, as Ant's reward has it."""
    return state.derived["xpos"][:, 1, 0]


def whole_state(state: State) -> Floats:
    """All of qpos, then qvel: (b, nq + nv)."""
    return np.concatenate([state.qpos, state.qvel], axis=1)


def without_xy(state: State) -> Floats:
    """As `whole_state` without the place in the plane: (b, nq − 2 + nv)."""
    return np.concatenate([state.qpos[:, 2:], state.qvel], axis=1)


def unclipped(state: State) -> Floats:
    """The pose without its place along the track, then the velocities: (b, nq − 1 + nv)."""
    return np.concatenate([state.qpos[:, 1:], state.qvel], axis=1)


def clipped(state: State) -> Floats:
    """As `unclipped`, with velocities cut to ±10 (Hopper, Walker2d)."""
    return np.concatenate([state.qpos[:, 1:], np.clip(state.qvel, -10, 10)], axis=1)


def hopper_falls(state: State) -> Bools:
    """Not (height > 0.7, |angle| < 0.2, all else within ±100), on the unclipped state."""
    height, angle = state.qpos[:, 1], state.qpos[:, 2]
    rest = without_xy(state)
    within: Bools = np.all((rest > -100) & (rest < 100), axis=1)
    return ~(within & (height > 0.7) & (angle > -0.2) & (angle < 0.2))


def walker2d_falls(state: State) -> Bools:
    """Not (0.8 < height < 2 and |angle| < 1)."""
    height, angle = state.qpos[:, 1], state.qpos[:, 2]
    return ~((height > 0.8) & (height < 2.0) & (angle > -1.0) & (angle < 1.0))


def ant_falls(state: State) -> Bools:
    """Not (all finite and 0.2 ≤ height ≤ 1)."""
    height = state.qpos[:, 2]
    finite: Bools = np.all(np.isfinite(whole_state(state)), axis=1)
    return ~(finite & (height >= 0.2) & (height <= 1.0))


def pendulum_falls(state: State) -> Bools:
    """Not finite, or |angle| > 0.2."""
    finite: Bools = np.all(np.isfinite(whole_state(state)), axis=1)
    return ~finite | (np.abs(state.qpos[:, 1]) > 0.2)


def never_falls(state: State) -> Bools:
    """No row (b,): HalfCheetah and Swimmer are truncated but never terminate."""
    return np.zeros(len(state.qpos), dtype=np.bool_)


def control_cost(action: Actions, weight: float) -> Floats:
    """Weight · |a|², (b,), in the action's dtype."""
    cost: Floats = weight * np.square(action).sum(axis=1)
    return cost


def run_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """Velocity − 0.1 · |a|²."""
    return velocity - control_cost(action, 0.1)


def v4_hop_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """Velocity + 1 − 0.001 · |a|²; the 1 is part of the terminal step's reward too."""
    return velocity + 1.0 - control_cost(action, 1e-3)


def v5_hop_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """Velocity + [healthy] − 0.001 · |a|²; the terminal step has no healthy reward."""
    return velocity + ~fallen * 1.0 - control_cost(action, 1e-3)


def v4_ant_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """Velocity + 1 − 0.5 · |a|², without contact cost; the 1 is part of the terminal step's reward too."""
    return velocity + 1.0 - control_cost(action, 0.5)


def swim_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """Velocity − 0.0001 · |a|²."""
    return velocity - control_cost(action, 1e-4)


def v4_balance_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """1 for every step, the terminal one included."""
    return np.ones(len(fallen))


def v5_balance_reward(velocity: Floats, action: Actions, fallen: Bools, state: State) -> Floats:
    """1 for every step that is not terminal, else 0."""
    return (~fallen).astype(np.float64)
