"""A Parameter is one thing that can be changed; a Change is the result of a choice of factors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mujoco import MjModel

from perturbations.base import Names, Perturbation, compose
from perturbations.disturbances.contract import Disturbance


@dataclass(frozen=True, kw_only=True)
class Change:
    """The differences from the nominal world: in its physics, and in the signals between world and policy."""

    physics: Perturbation
    """`MjModel → MjModel`, pure."""
    disturbances: tuple[tuple[str, Disturbance], ...] = ()
    """Names and disturbances in the order in which signals pass them; those at their nominal factor are left out."""
    nominal: bool = False
    """Whether every part has its nominal factor, so that nothing differs."""

    def __call__(self, model: MjModel) -> MjModel:
        """Return a copy of the model with the changed physics; the model itself stays unchanged."""
        return self.physics(model)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One thing that can differ from the nominal world: of the physics, or of the signals."""

    name: str
    about: str
    """A description in one line, with the unit of the factor."""
    make: Callable[..., Perturbation] | Callable[..., Disturbance]
    """A function `(factor)`, or `(factor, names)` if there are parts, that returns the perturbation or disturbance."""
    nominal: float = 1.0
    """The factor that changes nothing: 1 if it multiplies, 0 if it is added."""
    parts: str | None = None
    """The kind of part that the names after @ mean (body, geom, joint, actuator); None if there are no parts."""
    disturbs: bool = False
    """Whether `make` returns a disturbance of the signals and not a perturbation of the physics."""
    unit: str = ""
    """The unit of the factor, as an axis shows it; empty for a multiple, and for the unit of observations."""
    scales_with_obs: bool | None = None
    """Whether the factor is in units of `Setting.obs_scale`; None means yes if it disturbs signals, else no."""

    @property
    def in_obs_units(self) -> bool:
        """Whether the factor is in units of observations; equal factors in other units are then other experiments."""
        return self.disturbs if self.scales_with_obs is None else self.scales_with_obs

    def __call__(self, factor: float, names: Names = None) -> Change:
        """Return the Change by a factor: of everything, or of the named parts.

        Raises:
            ValueError: a factor out of its range, names although there are no parts, or `make` returned no function.
        """
        change: Any
        if names is None:
            change = self.make(factor)
        elif self.parts is None:
            raise ValueError(f"'{self.name}' has no parts to name: write {self.name}={factor:.12g}.")
        else:
            change = self.make(factor, names)
        if not callable(change):
            raise ValueError(f"'{self.name}' made {type(change).__name__} of a factor: it must return a function.")
        nominal = factor == self.nominal
        if not self.disturbs:
            return Change(physics=change, nominal=nominal)
        parts = () if nominal else ((spelled(self.name, names), change),)
        return Change(physics=compose(), disturbances=parts, nominal=nominal)


def together(changes: Sequence[Change]) -> Change:
    """One Change that applies all changes from left to right; without any, it changes nothing."""
    return Change(
        physics=compose(*(change.physics for change in changes)),
        disturbances=tuple(part for change in changes for part in change.disturbances),
        nominal=all(change.nominal for change in changes),
    )


def spelled(name: str, names: Names = None) -> str:
    """`name`, or `name@part+part`."""
    parts = (names,) if isinstance(names, str) else names or ()
    return f"{name}@{'+'.join(parts)}" if parts else name
