"""One record per thing that can be changed, and what a choice of factors makes of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mujoco import MjModel

from perturbations.base import Names, Perturbation, compose
from perturbations.disturbances.contract import Disturbance


@dataclass(frozen=True, kw_only=True)
class Change:
    """What differs from the nominal world: its physics, and the signals between world and policy."""

    physics: Perturbation
    """`MjModel → MjModel`, pure."""
    disturbances: tuple[tuple[str, Disturbance], ...] = ()
    """Name and disturbance, in the order in which signals pass them; what has its nominal factor is left out."""
    nominal: bool = False
    """Whether every part has its nominal factor, so that nothing differs."""

    def __call__(self, model: MjModel) -> MjModel:
        """The changed physics of a model; the model stays as it was."""
        return self.physics(model)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One thing that can differ from the nominal world: of the physics, or of the signals."""

    name: str
    about: str
    """One line: what it is, and the unit of its factor."""
    make: Callable[..., Perturbation] | Callable[..., Disturbance]
    """Of `(factor)`, or of `(factor, names)` for what has parts."""
    nominal: float = 1.0
    """The factor that changes nothing: 1 for what is scaled, 0 for what is added."""
    parts: str | None = None
    """What the names after @ mean (body, geom, joint, actuator); None for what has no parts."""
    disturbs: bool = False
    """Whether `make` gives a disturbance of the signals and not a perturbation of the physics."""
    unit: str = ""
    """What the factor is measured in, as an axis says it; empty for a multiple, and for the unit of observations."""
    scales_with_obs: bool | None = None
    """Whether the factor is in units of `Setting.obs_scale`; None means that it may be, if it disturbs signals."""

    @property
    def in_obs_units(self) -> bool:
        """Whether equal factors are different experiments where observations are measured in different units."""
        return self.disturbs if self.scales_with_obs is None else self.scales_with_obs

    def __call__(self, factor: float, names: Names = None) -> Change:
        """The change of all of it, or of the named parts, by a factor.

        Raises:
            ValueError: a factor it cannot take, or names for what has no parts.
        """
        made: Any
        if names is None:
            made = self.make(factor)
        elif self.parts is None:
            raise ValueError(f"'{self.name}' has no parts to name: write {self.name}={factor:.12g}.")
        else:
            made = self.make(factor, names)
        if not callable(made):
            raise ValueError(f"'{self.name}' made {type(made).__name__} of a factor: it must return a function.")
        nominal = factor == self.nominal
        if not self.disturbs:
            return Change(physics=made, nominal=nominal)
        parts = () if nominal else ((spelled(self.name, names), made),)
        return Change(physics=compose(), disturbances=parts, nominal=nominal)


def together(changes: Sequence[Change]) -> Change:
    """All changes at once, from left to right; of none, nothing."""
    return Change(
        physics=compose(*(change.physics for change in changes)),
        disturbances=tuple(part for change in changes for part in change.disturbances),
        nominal=all(change.nominal for change in changes),
    )


def spelled(name: str, names: Names = None) -> str:
    """`name`, or `name@part+part`."""
    parts = (names,) if isinstance(names, str) else names or ()
    return f"{name}@{'+'.join(parts)}" if parts else name
