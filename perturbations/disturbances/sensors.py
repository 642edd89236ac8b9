"""Disturbances of sensors: noise, bias and dropout. Factors are in units of `obs_scale`, whose name results record."""

import numpy as np

from perturbations.disturbances.contract import Disturbance, Obs, Setting, Signals, check_amount


def sensor_noise(factor: float) -> Disturbance:
    """Add Gaussian noise with std `factor` units to each sensor, drawn anew at every step.

    Raises:
        ValueError: a factor not finite and ≥ 0.
    """
    check_amount("sensor-noise", factor)
    return lambda setting: _Noisy(setting, factor)


class _Noisy(Signals):
    def __init__(self, setting: Setting, factor: float) -> None:
        self._rng, self._std = setting.rng, factor * setting.obs_scale

    def seen(self, obs: Obs) -> Obs:
        return obs + self._std * self._rng.standard_normal(obs.shape)


def sensor_bias(factor: float) -> Disturbance:
    """Add an offset, drawn once per episode and uniform within ± `factor` units, to each sensor.

    Raises:
        ValueError: a factor not finite and ≥ 0.
    """
    check_amount("sensor-bias", factor)
    return lambda setting: _Biased(factor * setting.obs_scale * setting.rng.uniform(-1, 1, setting.obs_scale.shape))


class _Biased(Signals):
    def __init__(self, offset: Obs) -> None:
        self._offset = offset

    def seen(self, obs: Obs) -> Obs:
        return obs + self._offset


def sensor_dropout(factor: float) -> Disturbance:
    """Lose each reading with probability `factor` and repeat the last one received; the first readings all arrive.

    A reading that is lost at one factor is lost at every larger one, too.

    Raises:
        ValueError: a factor outside [0, 1].
    """
    check_amount("sensor-dropout", factor, most=1.0)
    return lambda setting: _Failing(setting, factor)


class _Failing(Signals):
    def __init__(self, setting: Setting, factor: float) -> None:
        self._rng, self._factor = setting.rng, factor
        self._held: Obs | None = None

    def seen(self, obs: Obs) -> Obs:
        lost = self._rng.random(obs.shape) < self._factor
        self._held = obs.copy() if self._held is None else np.where(lost, self._held, obs)
        return self._held.copy()
