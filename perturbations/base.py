"""A perturbation is a pure function of a compiled model; `edited` is the only place that changes one."""

import copy
import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import MjModel

Perturbation: TypeAlias = Callable[[MjModel], MjModel]
"""`MjModel → MjModel`: returns a changed copy and leaves its argument as it was."""

Names: TypeAlias = str | Sequence[str] | None
"""One name, several, or None for everything that can be changed."""


def scale(factor: float, edit: Callable[[MjModel], None], *, zero: bool = False) -> Perturbation:
    """The perturbation that multiplies by a factor: `edited`, nominal at factor 1.

    Args:
        factor: the number by which `edit` multiplies; finite and positive.
        edit: changes a model in place.
        zero: whether factor 0 is allowed.

    Raises:
        ValueError: the factor is not finite, negative, or 0 without `zero`.
    """
    check_scale(factor, zero=zero)
    return edited(edit, nominal=factor == 1)


def check_scale(factor: float, *, zero: bool = False) -> None:
    """Raise ValueError unless the factor is finite and positive, or 0 if `zero` allows it."""
    if not math.isfinite(factor) or factor < 0 or (factor == 0 and not zero):
        wanted = "finite and not negative" if zero else "finite and greater than 0"
        raise ValueError(f"a factor must be {wanted}, not {factor}: 1 leaves the physics as they are.")


def edited(edit: Callable[[MjModel], None], *, nominal: bool, derive: bool = True) -> Perturbation:
    """The perturbation that applies `edit` to a copy and recomputes the constants derived from it.

    At the nominal factor it returns an unchanged copy, so that its physics equal the nominal ones bit for bit. It runs
    the edit even then, because a name that the model lacks is an error at every factor. `mj_setConst` makes an edited
    model equal to one compiled from edited XML (google-deepmind/mujoco#1607); without it inverse weights and subtree
    masses stay those of the old model.

    Args:
        edit: changes a model in place.
        nominal: whether the factor is the nominal one, which changes nothing.
        derive: False leaves the derived constants stale, for presets that reproduce that fault.
    """
    return _Edited(edit=edit, nominal=nominal, derive=derive)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Edited:
    """The callable that `edited` returns."""

    edit: Callable[[MjModel], None]
    nominal: bool
    derive: bool

    def __call__(self, model: MjModel) -> MjModel:
        changed = copy.deepcopy(model)
        self.edit(changed)
        if self.nominal:
            return copy.deepcopy(model)
        if self.derive:
            mujoco.mj_setConst(changed, mujoco.MjData(changed))
        return changed


def compose(*perturbations: Perturbation) -> Perturbation:
    """The perturbation that applies several in turn; without any, it copies the model.

    Those that leave derived constants stale run last, whatever their place. Every other one recomputes the constants of
    the whole model; after a stale one it would repair the fault that the stale one reproduces.
    """
    parts = [part for one in perturbations for part in (one.parts if isinstance(one, _Composed) else (one,))]
    return _Composed(parts=tuple(sorted(parts, key=lambda part: isinstance(part, _Edited) and not part.derive)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Composed:
    """The callable that `compose` returns, with its parts in the order in which they run."""

    parts: tuple[Perturbation, ...]

    def __call__(self, model: MjModel) -> MjModel:
        changed = copy.deepcopy(model)
        for part in self.parts:
            changed = part(changed)
        return changed


def indices(model: MjModel, kind: mujoco.mjtObj, names: Names) -> npt.NDArray[np.int64]:
    """The ids (n,) of the named bodies, geoms, joints or actuators; None means all, except the world body.

    Raises:
        ValueError: a name that the model lacks (with the nearest one), an empty list, or the world body, whose mass
            cannot be changed.
    """
    is_body = kind == mujoco.mjtObj.mjOBJ_BODY
    known = _names(model, kind)
    if names is None:
        return np.arange(1 if is_body else 0, len(known))
    wanted = (names,) if isinstance(names, str) else tuple(names)
    if not wanted:
        raise ValueError("no name was given, but at least one is needed: name what to change, or pass None for all.")
    word = kind.name.removeprefix("mjOBJ_").lower()
    for name in wanted:
        if name not in known:
            raise ValueError(f"the model has no {word} '{name}': {nearest(name, known)}.")
        if is_body and name == known[0]:
            raise ValueError(f"'{name}' is the world, which cannot be perturbed: name a body of the robot.")
    return np.array([known.index(name) for name in wanted])


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error sentence: the nearest known name and all the others."""
    names = sorted(filter(None, known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return (f"did you mean '{near[0]}'? " if near else "") + f"known are {', '.join(names)}"


def _names(model: MjModel, kind: mujoco.mjtObj) -> list[str]:
    """All names of a kind in the order of their ids, '' for an element without a name."""
    counts: dict[Any, int] = {
        mujoco.mjtObj.mjOBJ_BODY: model.nbody,
        mujoco.mjtObj.mjOBJ_GEOM: model.ngeom,
        mujoco.mjtObj.mjOBJ_JOINT: model.njnt,
        mujoco.mjtObj.mjOBJ_ACTUATOR: model.nu,
    }
    return [mujoco.mj_id2name(model, kind, i) or "" for i in range(counts[kind])]
