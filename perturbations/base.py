"""What a perturbation is: a pure function of a compiled model, and the one place where models are edited."""

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
    """The perturbation that multiplies: `edited`, with factor 1 for the untouched physics.

    Args:
        factor: what `edit` multiplies by; finite and positive.
        edit: changes a model in place.
        zero: whether factor 0 means something.

    Raises:
        ValueError: the factor is not a number the perturbation can be given.
    """
    check_scale(factor, zero=zero)
    return edited(edit, nominal=factor == 1)


def check_scale(factor: float, *, zero: bool = False) -> None:
    """Raise ValueError unless something can be multiplied by the factor; `zero`: whether 0 means something."""
    if not math.isfinite(factor) or factor < 0 or (factor == 0 and not zero):
        wanted = "finite and not negative" if zero else "finite and greater than 0"
        raise ValueError(f"a factor must be {wanted}, not {factor}: 1 leaves the physics as they are.")


def edited(edit: Callable[[MjModel], None], *, nominal: bool, derive: bool = True) -> Perturbation:
    """The perturbation that applies `edit` to a copy and recomputes the constants derived from it.

    At the nominal factor an untouched copy is returned, so that its physics equal the nominal ones bit for bit; the
    edit is tried all the same, for a name the model does not have is a mistake at every factor. `mj_setConst` is what
    makes an edited model equal one compiled from edited XML (google-deepmind/mujoco#1607); without it inverse weights
    and subtree masses stay those of the old model.

    Args:
        edit: changes a model in place.
        nominal: whether the factor is the one that changes nothing.
        derive: False leaves the derived constants stale, for code that reproduces that mistake.
    """
    return _Edited(edit=edit, nominal=nominal, derive=derive)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Edited:
    """What `edited` returns."""

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
    """Apply several in turn, those last that leave derived constants stale; of none, an untouched copy.

    Any other one recomputes the constants of the whole model. Before stale ones it has them all as they should be, in
    whichever order the perturbations are named; behind them it would mend what they are meant to leave.
    """
    parts = [part for one in perturbations for part in (one.parts if isinstance(one, _Composed) else (one,))]
    return _Composed(parts=tuple(sorted(parts, key=lambda part: isinstance(part, _Edited) and not part.derive)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Composed:
    """What `compose` returns: its parts in the order in which they act."""

    parts: tuple[Perturbation, ...]

    def __call__(self, model: MjModel) -> MjModel:
        changed = copy.deepcopy(model)
        for part in self.parts:
            changed = part(changed)
        return changed


def indices(model: MjModel, kind: mujoco.mjtObj, names: Names) -> npt.NDArray[np.int64]:
    """The ids of named bodies, geoms, joints or actuators; None means all, of bodies all but the world.

    Raises:
        ValueError: a name the model does not have (with the nearest one), no name at all, or the world body, which
            has no mass to change.
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
    """All names of a kind in the order of their ids, '' for what has none."""
    counts: dict[Any, int] = {
        mujoco.mjtObj.mjOBJ_BODY: model.nbody,
        mujoco.mjtObj.mjOBJ_GEOM: model.ngeom,
        mujoco.mjtObj.mjOBJ_JOINT: model.njnt,
        mujoco.mjtObj.mjOBJ_ACTUATOR: model.nu,
    }
    return [mujoco.mj_id2name(model, kind, i) or "" for i in range(counts[kind])]
