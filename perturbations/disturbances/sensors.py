"""Noisy, biased and failing sensors. Factors are in units of `obs_scale`, which results name."""

import numpy as np

from perturbations.disturbances.contract import Disturbance, Obs, Setting, Signals, check_amount


def sensor_noise(factor: float) -> Disturbance:
    """Gaussian noise, new at every step, its std `factor` units of each sensor.

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
    """A constant offset for the whole episode, uniform within ± `factor` units of each sensor.

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
    """Each reading is lost with probability `factor`, and the last one received is held; the first ones arrive.

    What is lost at one factor is lost at every greater one, too.

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
