"""Shifted actions: by hand, within their budget, for the actuators that are named."""

from collections.abc import Callable

import numpy as np
import pytest
from mujoco import MjModel

from perturbations import PERTURBATIONS, action_bias, parse
from perturbations.base import Names
from perturbations.disturbances.contract import Action, Setting


def setting(model: MjModel, low: float = -1.0, high: float = 1.0, size: int = 3) -> Setting:
    return Setting(
        model=model,
        obs_scale=np.ones(3),
        action_low=np.full(size, low, np.float32),
        action_high=np.full(size, high, np.float32),
        dt=0.008,
        rng=np.random.default_rng(0),
    )


def shifted(model: MjModel, factor: float, action: list[float], actuators: Names = None, **ends: float) -> list[float]:
    size = len(action)
    signals = action_bias(factor, actuators)(setting(model, size=size, **ends))
    executed: Action = signals.executed(np.array(action, np.float32))
    assert executed.dtype == np.float32
    return [float(value) for value in executed]


def test_every_action_is_shifted_by_half_ranges_and_cut_to_the_range(hopper: MjModel) -> None:
    assert shifted(hopper, 0.3, [0.5, -0.9, 0.9]) == pytest.approx([0.8, -0.6, 1.0])
    assert shifted(hopper, -0.3, [0.5, -0.9, 0.9]) == pytest.approx([0.2, -1.0, 0.6])
    assert shifted(hopper, 0.3, [1.0, 3.9, 0.0], low=0.0, high=4.0) == pytest.approx([1.6, 4.0, 0.6])


@pytest.mark.parametrize("factor", [-2.0, -0.7, -1e-3, 0.05, 0.3, 1.5])
def test_the_change_is_never_larger_than_the_budget(hopper: MjModel, factor: float) -> None:
    rng, signals = np.random.default_rng(0), action_bias(factor)(setting(hopper))
    actions = rng.uniform(-1, 1, (500, 3)).astype(np.float32)
    changes = np.array([signals.executed(action) for action in actions]) - actions
    assert np.abs(changes).max() <= abs(factor) + 1e-6
    assert np.abs(changes).max() > 0.9 * min(abs(factor), 1.5)


def test_named_actuators_are_shifted_alone(compiled: Callable[[str], MjModel]) -> None:
    hopper, cheetah = compiled("hopper"), compiled("half_cheetah")
    assert shifted(hopper, 0.5, [0.0] * 3, "1") == [0.0, 0.5, 0.0]
    assert shifted(hopper, 0.5, [0.0] * 3, ("thigh_joint", "2")) == [0.5, 0.0, 0.5]
    assert shifted(cheetah, 0.5, [0.0] * 6, "bfoot") == [0.0, 0.0, 0.5, 0.0, 0.0, 0.0]


def test_an_unknown_actuator_is_told_with_the_nearest_one(hopper: MjModel) -> None:
    for name in ("thigh_jiont", "3"):
        with pytest.raises(ValueError, match="no actuator"):
            action_bias(0.1, name)(setting(hopper))
    with pytest.raises(ValueError, match="did you mean 'thigh_joint'"):
        action_bias(0.1, "thigh_jiont")(setting(hopper))


def test_a_shift_without_a_size_or_a_range_is_refused(hopper: MjModel) -> None:
    with pytest.raises(ValueError, match="finite"):
        action_bias(float("inf"))
    with pytest.raises(ValueError, match="an actuator has none"):
        action_bias(0.1)(setting(hopper, high=float("inf")))


def test_the_language_names_actuators_and_takes_both_signs() -> None:
    change = parse("action-bias@0=-0.1,action-bias@thigh_joint=0.2,action-bias@2=0")
    assert [name for name, _ in change.disturbances] == ["action-bias@0", "action-bias@thigh_joint"]
    assert not change.nominal
    assert PERTURBATIONS["action-bias"].unit == PERTURBATIONS["action-noise"].unit
