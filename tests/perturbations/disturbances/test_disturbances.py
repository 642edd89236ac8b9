"""Disturbances of the signals: by hand where nothing is random, by their draws where something is."""

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import pytest
from mujoco import MjModel

from perturbations import (
    PERTURBATIONS,
    Setting,
    Signals,
    action_noise,
    latency,
    push,
    sensor_bias,
    sensor_dropout,
    sensor_noise,
)

SIGNALS = sorted(name for name, record in PERTURBATIONS.items() if record.disturbs)
SCALE = np.array([1.0, 10.0, 0.1])
OBS = np.array([5.0, 6.0, 7.0])


def setting(model: MjModel, seed: int = 0, low: Any = -1.0, high: Any = 1.0, dt: float = 0.008) -> Setting:
    return Setting(
        model=model,
        obs_scale=SCALE,
        action_low=np.broadcast_to(np.float32(low), 2).copy(),
        action_high=np.broadcast_to(np.float32(high), 2).copy(),
        dt=dt,
        rng=np.random.default_rng(seed),
    )


def act(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, np.float32)


def test_signals_pass_everything_by_default() -> None:
    signals = Signals()
    action = act(1, 2)
    assert signals.seen(OBS) is OBS
    assert signals.executed(action) is action
    assert signals.wrench() is None


# ---- actions


def test_latency_executes_what_was_chosen_k_steps_ago(hopper: MjModel) -> None:
    signals = latency(2)(setting(hopper))
    chosen = [act(step, -step) for step in range(1, 6)]
    executed = [signals.executed(action).tolist() for action in chosen]
    assert executed == [[0, 0], [0, 0], [1, -1], [2, -2], [3, -3]]


def test_latency_keeps_a_copy_and_rests_inside_the_range(hopper: MjModel) -> None:
    signals = latency(1)(setting(hopper, low=0.25, high=1.0))
    action = act(1, 1)
    assert signals.executed(action).tolist() == [0.25, 0.25]
    action[:] = 7  # the caller's array may be used again
    assert signals.executed(action).tolist() == [1, 1]


@pytest.mark.parametrize("factor", [0.5, 1.25])
def test_latency_is_a_whole_number(factor: float) -> None:
    with pytest.raises(ValueError, match="latency is a whole number of control steps"):
        latency(factor)


def test_action_noise_is_in_half_ranges_and_cut_to_the_range(hopper: MjModel) -> None:
    low, high = act(-2, 0), act(2, 1)  # half ranges 2 and 0.5
    small = action_noise(0.01)(setting(hopper, low=low, high=high))
    middle = act(0, 0.5)
    noise = np.array([small.executed(middle) - middle for _ in range(4000)])
    np.testing.assert_allclose(noise.std(axis=0), [0.02, 0.005], rtol=0.05)
    np.testing.assert_allclose(noise.mean(axis=0), [0, 0], atol=0.001)
    large = action_noise(5.0)(setting(hopper, low=low, high=high))
    drawn = np.array([large.executed(middle) for _ in range(200)])
    assert drawn.dtype == np.float32
    assert drawn.min(axis=0).tolist() == [-2, 0]
    assert drawn.max(axis=0).tolist() == [2, 1]


def test_action_noise_needs_a_range(hopper: MjModel) -> None:
    with pytest.raises(ValueError, match="an actuator has none"):
        action_noise(0.1)(setting(hopper, high=np.inf))


# ---- sensors


def test_sensor_noise_is_new_at_every_step_in_units_of_each_sensor(hopper: MjModel) -> None:
    signals = sensor_noise(0.5)(setting(hopper))
    noise = np.array([signals.seen(OBS) - OBS for _ in range(4000)])
    np.testing.assert_allclose(noise.std(axis=0), 0.5 * SCALE, rtol=0.05)
    assert abs(np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1]) < 0.06


def test_sensor_bias_is_constant_in_an_episode_and_uniform_over_episodes(hopper: MjModel) -> None:
    signals = sensor_bias(0.5)(setting(hopper))
    offsets = [signals.seen(OBS) - OBS, signals.seen(2 * OBS) - 2 * OBS]
    np.testing.assert_allclose(offsets[0], offsets[1], atol=1e-12)
    over = np.array([sensor_bias(0.5)(setting(hopper, seed)).seen(OBS) - OBS for seed in range(800)]) / SCALE
    assert np.abs(over).max() <= 0.5
    np.testing.assert_allclose(over.std(axis=0), 0.5 / 3**0.5, rtol=0.1)


def test_lost_readings_are_held(hopper: MjModel) -> None:
    signals = sensor_dropout(0.5)(setting(hopper))
    readings = np.arange(1.0, 4001.0)[:, None] + np.array([0.0, 0.25, 0.5])
    seen = np.array([signals.seen(reading) for reading in readings])
    assert np.array_equal(seen[0], readings[0])  # the first one arrives
    arrived = seen == readings
    assert np.array_equal(np.where(arrived[1:], readings[1:], seen[:-1]), seen[1:])  # else the last one is held
    np.testing.assert_allclose(1 - arrived[1:].mean(axis=0), 0.5, atol=0.03)


def test_what_is_lost_at_one_factor_is_lost_at_a_greater_one(hopper: MjModel) -> None:
    few, many = sensor_dropout(0.2)(setting(hopper)), sensor_dropout(0.6)(setting(hopper))
    lost = np.array([[few.seen(step + OBS) != step + OBS, many.seen(step + OBS) != step + OBS] for step in range(500)])
    assert (lost[:, 1] | ~lost[:, 0]).all()
    assert lost[:, 1].sum() > lost[:, 0].sum() > 0


def test_at_probability_1_the_first_observation_is_all_there_is(hopper: MjModel) -> None:
    signals = sensor_dropout(1.0)(setting(hopper))
    assert [signals.seen(OBS + step).tolist() for step in range(3)] == [OBS.tolist()] * 3
    with pytest.raises(ValueError, match=r"between 0 and 1 for sensor-dropout, not 1\.5"):
        sensor_dropout(1.5)


# ---- pushes


def wrenches(signals: Signals, steps: int, bodies: int) -> npt.NDArray[np.float64]:
    drawn = [signals.wrench() for _ in range(steps)]
    return np.array([np.zeros((bodies, 6)) if wrench is None else wrench for wrench in drawn])


@pytest.mark.parametrize(("dt", "lasts", "window"), [(0.05, 2, 40), (0.008, 12, 250), (0.5, 1, 4)])
def test_one_push_in_every_two_seconds(dt: float, lasts: int, window: int, hopper: MjModel) -> None:
    forces = wrenches(push(0.5)(setting(hopper, dt=dt)), 50 * window, hopper.nbody)
    weight = hopper.body_mass.sum() * 9.81
    pushed = forces[:, 1, 0] != 0
    assert pushed.reshape(50, window).sum(axis=1).tolist() == [lasts] * 50
    starts = [row.argmax() for row in pushed.reshape(50, window)]
    assert all(row[start : start + lasts].all() for row, start in zip(pushed.reshape(50, window), starts, strict=True))
    assert len(set(starts)) > 2
    np.testing.assert_allclose(np.abs(forces[pushed, 1, 0]), 0.5 * weight, rtol=1e-14)
    assert {-1.0, 1.0} == set(np.sign(forces[pushed, 1, 0]))
    forces[:, 1, 0] = 0
    assert not forces.any()  # along x on the root alone, no torque


def test_a_free_robot_is_pushed_in_the_horizontal_plane(compiled: Callable[..., MjModel]) -> None:
    ant = compiled("ant")
    forces = wrenches(push(2.0)(setting(ant, dt=0.05)), 4000, ant.nbody)[:, 1]
    forces = forces[forces.any(axis=1)]
    assert len(forces) == 200
    np.testing.assert_allclose(np.hypot(forces[:, 0], forces[:, 1]), 2.0 * 9.81 * ant.body_mass.sum(), rtol=1e-12)
    assert not forces[:, 2:].any()
    quadrants = {(x > 0, y > 0) for x, y in forces[:, :2]}
    assert len(quadrants) == 4


def test_a_push_changes_the_motion_by_its_impulse() -> None:
    """A free cube in space: momentum = force × time, which no convention of frames or points can fake."""
    model = mujoco.MjModel.from_xml_string(CUBE)
    data, signals = mujoco.MjData(model), push(0.5)(setting(model, dt=0.01))
    for _ in range(200):
        wrench = signals.wrench()
        data.xfrc_applied[:] = 0 if wrench is None else wrench
        mujoco.mj_step(model, data)
    assert np.linalg.norm(data.qvel[:2]) == pytest.approx(0.5 * 9.81 * 0.1, rel=1e-9)  # weight × 0.1 s / mass
    np.testing.assert_allclose(data.qvel[2:], 0, atol=1e-12)


CUBE = """
<mujoco>
  <option gravity="0 0 0" timestep="0.01"/>
  <worldbody>
    <geom type="box" size="1 1 .1" pos="0 0 -9" mass="50"/>
    <body name="frame"><geom type="box" size="1 1 .1" pos="0 0 -5" mass="50"/></body>
    <body name="cube" pos="0 0 1"><freejoint/><geom type="box" size=".1 .1 .1" mass="3"/></body>
  </worldbody>
</mujoco>
"""


def test_the_root_is_the_first_body_with_mass_and_a_joint() -> None:
    model = mujoco.MjModel.from_xml_string(CUBE)
    forces = wrenches(push(1.0)(setting(model)), 250, model.nbody)
    assert np.flatnonzero(forces.any(axis=(0, 2))).tolist() == [2]
    assert np.linalg.norm(forces, axis=2).max() == pytest.approx(3 * 9.81)  # what is fixed to the world has no weight
    with pytest.raises(ValueError, match="there is nothing to push"):
        push(1.0)(setting(mujoco.MjModel.from_xml_string("<mujoco/>")))


# ---- what all promise


def record(name: str, factor: float, model: MjModel, seed: int = 0, steps: int = 300) -> tuple[Any, ...]:
    """Everything a disturbance does to constant signals in an episode, and the next number of its generator."""
    episode = setting(model, seed)
    signals = PERTURBATIONS[name].make(factor)(episode)
    assert isinstance(signals, Signals)
    seen, executed, force = [], [], []
    for step in range(steps):
        obs, action = OBS + step, act(np.sin(step), np.cos(step))
        seen.append(signals.seen(obs))
        executed.append(signals.executed(action))
        wrench = signals.wrench()
        force.append(np.zeros((model.nbody, 6)) if wrench is None else wrench)
        assert np.array_equal(obs, OBS + step)
        assert np.array_equal(action, act(np.sin(step), np.cos(step)))
        assert seen[-1].dtype == np.float64
        assert executed[-1].dtype == np.float32
    return np.array(seen), np.array(executed), np.array(force), episode.rng.random()


@pytest.mark.parametrize("name", SIGNALS)
def test_episodes_repeat_and_seeds_differ(name: str, hopper: MjModel) -> None:
    first, again, other = (record(name, 1, hopper, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    if name not in ("latency", "action-bias"):  # those without chance
        assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("name", SIGNALS)
def test_the_nominal_factor_changes_nothing(name: str, hopper: MjModel) -> None:
    assert PERTURBATIONS[name](0).disturbances == ()
    assert PERTURBATIONS[name](0).nominal
    seen, executed, force, _ = record(name, 0, hopper)
    assert np.array_equal(seen, OBS + np.arange(300)[:, None])
    assert np.array_equal(executed, np.stack([np.sin(np.arange(300)), np.cos(np.arange(300))], 1).astype(np.float32))
    assert not force.any()


@pytest.mark.parametrize("name", SIGNALS)
def test_as_much_is_drawn_at_every_factor(name: str, hopper: MjModel) -> None:
    """So that two factors differ in the size of the same disturbance."""
    assert len({record(name, factor, hopper)[-1] for factor in (0, 1 if name == "latency" else 0.25, 1)}) == 1


@pytest.mark.parametrize(("name", "part"), [("sensor-noise", 0), ("sensor-bias", 0), ("push", 2)])
def test_twice_the_factor_is_twice_the_same_disturbance(name: str, part: int, hopper: MjModel) -> None:
    none, once, twice = (record(name, factor, hopper)[part] for factor in (0, 0.25, 0.5))
    np.testing.assert_allclose(twice - none, 2 * (once - none), rtol=1e-9, atol=1e-12)
    assert np.abs(once - none).max() > 0
