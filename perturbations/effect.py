"""`physics_difference` compares two compiled models, to prove that a perturbation changed the physics."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import MjModel

from perturbations.pairs import contact_friction, touching

Bools: TypeAlias = npt.NDArray[np.bool_]

_LOOKS = ("bvh_", "cam_", "key_", "light_", "mat_", "name", "numeric_", "oct_", "path", "skin_", "tex", "tuple_")
_LOOKS_TOO = ("_group", "_matid", "_rgba", "_user", "castshadow")
_WORLD_IS_FIXED = {"body_mass", "body_inertia", "body_subtreemass"}
_AS_PAIRS = {"geom_friction", "pair_friction"}
_OF_THE_SURFACE = {"geom_size", "geom_rbound", "geom_aabb"}
_NEED_SLEEP = {"dof_length"}
_NEED_A_MEDIUM = {"wind"}
_NEED_A_SLOPE = {"gravity"}
_ROUND = [mujoco.mjtWrap.mjWRAP_SPHERE, mujoco.mjtWrap.mjWRAP_CYLINDER]


def physics_difference(
    nominal: MjModel, perturbed: MjModel, unreachable: Iterable[tuple[str, str]] = ()
) -> dict[str, float]:
    """The physical quantities that differ: MuJoCo's field name → greatest absolute change.

    It compares all fields of the compiled model except those for rendering. Some count only where they have an effect:

    - friction counts as `contact_friction` of the pairs of geoms that can collide;
    - the size of a geom and its collision bounds count if something can collide with it, or a tendon wraps around it.
      Its inertia and fluid forces have fields of their own. A model with wrong bounds misses contacts;
    - gravity counts if something can rise or fall, wind if there is a medium.

    In a model with sensors, which may measure gravity and shapes, both count everywhere.

    Args:
        nominal: the unperturbed model.
        perturbed: another state of the same model.
        unreachable: pairs of geom names that never touch although MuJoCo would let them.

    Returns:
        Field → greatest absolute change; inf where the two models have different sizes. Empty for equal physics.
    """
    frictions = [contact_friction(model, unreachable) for model in (nominal, perturbed)]
    changes = _arrays(nominal, perturbed, unreachable) | _options(nominal, perturbed)
    changes["contact_friction"] = _change(*frictions)
    return {name: change for name, change in changes.items() if change > 0}


def is_no_op(nominal: MjModel, perturbed: MjModel, unreachable: Iterable[tuple[str, str]] = ()) -> bool:
    """Whether the perturbed model has the nominal physics, so that its cell must not count as a test."""
    return not physics_difference(nominal, perturbed, unreachable)


def _arrays(nominal: MjModel, perturbed: MjModel, unreachable: Iterable[tuple[str, str]]) -> dict[str, float]:
    """The change of every physical array of the models."""
    surfaces = [_tangible(model, unreachable) for model in (nominal, perturbed)]
    either = surfaces[0] | surfaces[1] if nominal.ngeom == perturbed.ngeom else slice(None)
    sleep = any(model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP for model in (nominal, perturbed))
    idle = set() if sleep else _NEED_SLEEP
    return {
        name: _change(_field(nominal, name, either), _field(perturbed, name, either))
        for name in _fields(nominal)
        if name not in idle
    }


def _options(nominal: MjModel, perturbed: MjModel) -> dict[str, float]:
    """The change of every option of the simulation."""
    still = all(model.opt.density == 0 and model.opt.viscosity == 0 for model in (nominal, perturbed))
    level = all(_is_level(model) for model in (nominal, perturbed))
    idle = (_NEED_A_MEDIUM if still else set()) | (_NEED_A_SLOPE if level else set())
    return {
        f"opt.{name}": _change(getattr(nominal.opt, name), getattr(perturbed.opt, name))
        for name in dir(nominal.opt)
        if not name.startswith("_") and name not in idle
    }


def _tangible(model: MjModel, unreachable: Iterable[tuple[str, str]]) -> Bools:
    """Whether each geom's surface matters (ngeom,): something can collide with it, or a tendon wraps around it."""
    pairs = touching(model, unreachable)
    acting: Bools = pairs.any(axis=0) | pairs.any(axis=1) | (model.nflex > 0 or model.nsensor > 0)
    acting[model.wrap_objid[np.isin(model.wrap_type, _ROUND)]] = True
    return acting


def _is_level(model: MjModel) -> bool:
    """Whether nothing can rise or fall: slides are orthogonal to gravity, hinges parallel to it.

    Rotation about gravity keeps both properties, so that the reference pose is enough.
    """
    data, gravity = mujoco.MjData(model), model.opt.gravity
    mujoco.mj_kinematics(model, data)
    along = data.xaxis @ gravity  # (njnt,)
    across = np.linalg.norm(np.cross(data.xaxis, gravity), axis=1)
    slides = model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE
    hinges = model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE
    unsteered = model.nmocap == 0 and model.nsensor == 0
    return unsteered and bool(np.all((slides & (along == 0)) | (hinges & (across == 0))))


def _fields(model: MjModel) -> list[str]:
    """The names of the model's physical arrays."""
    return [
        name
        for name in dir(model)
        if not name.startswith(("_", *_LOOKS))
        and not name.endswith(_LOOKS_TOO)
        and (name not in _AS_PAIRS or model.nflex > 0)  # a flexible body collides with single geoms
        and isinstance(getattr(model, name), np.ndarray)
    ]


def _field(model: MjModel, name: str, surfaces: Bools | slice) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = getattr(model, name)
    if name in _OF_THE_SURFACE:
        return values[surfaces]
    return values[1:] if name in _WORLD_IS_FIXED else values


def _change(one: Any, other: Any) -> float:
    """The greatest absolute difference; inf for different shapes and where only one value is NaN."""
    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if first.shape != second.shape:
        return float("inf")
    gap = np.abs(first - second)[(first != second) & ~(np.isnan(first) & np.isnan(second))]
    return float(np.nan_to_num(gap, nan=np.inf).max()) if gap.size else 0.0
