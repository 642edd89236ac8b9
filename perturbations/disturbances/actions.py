"""Late and noisy actions."""

from collections import deque

import numpy as np

from perturbations.disturbances.contract import Action, Disturbance, Setting, Signals, check_amount


def latency(factor: float) -> Disturbance:
    """Execute the action chosen `factor` control steps ago. Before the first arrives, execute 0 clipped to the range.

    A larger factor means a longer delay; 0 is none.

    Raises:
        ValueError: a factor that is not a whole number ≥ 0.
    """
    check_amount("latency", factor)
    if factor != int(factor):
        raise ValueError(f"latency is a whole number of control steps, not {factor}: 0 is none, 1 one step late.")

    def begin(setting: Setting) -> Signals:
        rest = np.clip(np.zeros_like(setting.action_low), setting.action_low, setting.action_high)
        return _Late(int(factor), rest)

    return begin


class _Late(Signals):
    def __init__(self, steps: int, rest: Action) -> None:
        self._steps, self._rest = steps, rest
        self._waiting: deque[Action] = deque()

    def executed(self, action: Action) -> Action:
        self._waiting.append(action.copy())
        return self._waiting.popleft() if len(self._waiting) > self._steps else self._rest.copy()


def action_noise(factor: float) -> Disturbance:
    """Add Gaussian noise with std `factor` × half the actuator's range to every action, and clip to the range.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); an actuator without a range (when an episode begins).
    """
    check_amount("action-noise", factor)

    def begin(setting: Setting) -> Signals:
        half = (setting.action_high - setting.action_low) / 2
        if not np.isfinite(half).all():
            raise ValueError("action-noise is measured in half the actuator's range, but an actuator has none.")
        return _Shaky(setting, factor * half.astype(np.float64))

    return begin


class _Shaky(Signals):
    def __init__(self, setting: Setting, std: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
        self._setting, self._std = setting, std

    def executed(self, action: Action) -> Action:
        noisy = action + self._std * self._setting.rng.standard_normal(action.shape)
        within: Action = np.clip(noisy, self._setting.action_low, self._setting.action_high).astype(np.float32)
        return within
