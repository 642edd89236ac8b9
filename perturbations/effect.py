"""Did a perturbation change anything? Compare the compiled physics, not the intentions."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import MjModel

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]

_LOOKS = ("bvh_", "cam_", "key_", "light_", "mat_", "name", "numeric_", "oct_", "path", "skin_", "tex", "tuple_")
_LOOKS_TOO = ("_group", "_matid", "_rgba", "_user", "castshadow")
_WORLD_IS_FIXED = {"body_mass", "body_inertia", "body_subtreemass"}
_AS_PAIRS = {"geom_friction", "pair_friction"}
_NEED_A_MEDIUM = {"wind"}
_CONTACT_COLUMNS = [0, 0, 1, 2, 2]
"""A contact has two sliding, one torsional and two rolling coefficients, made of a geom's three."""


def physics_difference(
    nominal: MjModel, perturbed: MjModel, unreachable: Iterable[tuple[str, str]] = ()
) -> dict[str, float]:
    """The physical quantities that differ, each with its greatest absolute change, by MuJoCo's field names.

    All fields of the compiled model are compared except those that only concern looks. Friction is compared where
    it acts, as `contact_friction` of the pairs of geoms that can collide; wind only in a medium.

    Args:
        nominal: the unperturbed model.
        perturbed: another state of the same model.
        unreachable: pairs of geom names that never touch although MuJoCo would let them.

    Returns:
        Field → greatest absolute change; inf where the two models have different sizes. Empty for equal physics.
    """
    changes = {name: _change(_field(nominal, name), _field(perturbed, name)) for name in _fields(nominal)}
    still = all(model.opt.density == 0 and model.opt.viscosity == 0 for model in (nominal, perturbed))
    for name in dir(nominal.opt):
        if not name.startswith("_") and not (name in _NEED_A_MEDIUM and still):
            changes[f"opt.{name}"] = _change(getattr(nominal.opt, name), getattr(perturbed.opt, name))
    frictions = [contact_friction(model, unreachable) for model in (nominal, perturbed)]
    changes["contact_friction"] = _change(*frictions)
    return {name: change for name, change in changes.items() if change > 0}


def is_no_op(nominal: MjModel, perturbed: MjModel, unreachable: Iterable[tuple[str, str]] = ()) -> bool:
    """Whether the perturbed model moves exactly as the nominal one: a cell that must not count as a test."""
    return not physics_difference(nominal, perturbed, unreachable)


def contact_friction(model: MjModel, unreachable: Iterable[tuple[str, str]] = ()) -> Floats:
    """The friction each pair of geoms would have in contact, (ngeom, ngeom, 5): 2 sliding, torsional, 2 rolling.

    The element-wise larger of the two geoms' coefficients, or those of the geom with the higher priority, and at
    least MuJoCo's minimum; 0 for pairs that cannot collide, on the diagonal and below it, and for coefficients that
    the contact's dimension leaves out (condim 1 none, 3 sliding, 4 torsional too, 6 all). Explicit contact pairs
    bring their own coefficients.
    """
    first, second = np.triu_indices(model.ngeom, k=1)  # (P,)
    friction = _by_priority(model, model.geom_friction[:, _CONTACT_COLUMNS], first, second)  # (P, 5)
    dimension = _by_priority(model, model.geom_condim, first, second)  # (P,)
    result = np.zeros((model.ngeom, model.ngeom, 5))
    result[first, second] = _acting(friction, dimension) * _can_collide(model, first, second)[:, None]
    if model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONTACT:
        return np.zeros_like(result)
    ends = np.sort(np.stack([model.pair_geom1, model.pair_geom2]), axis=0)  # (2, npair)
    result[ends[0], ends[1]] = _acting(model.pair_friction, model.pair_dim)
    for names in unreachable:
        ids = sorted(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, name) for name in names)
        if ids[0] >= 0:
            result[ids[0], ids[1]] = 0
    return result


def _acting(friction: Floats, dimension: npt.NDArray[Any]) -> Floats:
    """The coefficients (P, 5) a contact of this dimension (P,) uses: the first dimension − 1 of them, else 0."""
    values: Floats = np.maximum(friction, mujoco.mjMINMU) * (np.arange(5) < dimension[:, None] - 1)
    return values


def _by_priority(model: MjModel, values: npt.NDArray[Any], first: Ints, second: Ints) -> npt.NDArray[Any]:
    """The larger of two geoms' values, or the value of the one with the higher priority."""
    one, other = values[first], values[second]
    gap = model.geom_priority[first] - model.geom_priority[second]
    gap = gap.reshape(-1, *(1,) * (values.ndim - 1))
    return np.where(gap > 0, one, np.where(gap < 0, other, np.maximum(one, other)))


def _can_collide(model: MjModel, first: Ints, second: Ints) -> Bools:
    """MuJoCo's filters: contact bits, same body, parent and child (unless one is fixed to the world), exclusions."""
    types, affinities = model.geom_contype, model.geom_conaffinity
    bits = (types[first] & affinities[second]) | (types[second] & affinities[first])
    body, other = model.geom_bodyid[first], model.geom_bodyid[second]
    weld, other_weld = model.body_weldid[body], model.body_weldid[other]
    parent, other_parent = (model.body_weldid[model.body_parentid[ids]] for ids in (weld, other_weld))
    family = (weld != 0) & (other_weld != 0) & ((weld == other_parent) | (other_weld == parent))
    if model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_FILTERPARENT:
        family = np.zeros_like(family)
    signature = (np.minimum(body, other).astype(np.int64) << 16) + np.maximum(body, other)
    excluded = np.isin(signature, model.exclude_signature)
    allowed: Bools = (bits != 0) & (weld != other_weld) & ~family & ~excluded
    return allowed


def _fields(model: MjModel) -> list[str]:
    """The names of the model's physical arrays."""
    return [
        name
        for name in dir(model)
        if not name.startswith(("_", *_LOOKS))
        and not name.endswith(_LOOKS_TOO)
        and name not in _AS_PAIRS
        and isinstance(getattr(model, name), np.ndarray)
    ]


def _field(model: MjModel, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = getattr(model, name)
    return values[1:] if name in _WORLD_IS_FIXED else values


def _change(one: Any, other: Any) -> float:
    """The greatest absolute difference; inf for different shapes and for values that are not numbers."""
    first, second = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if first.shape != second.shape:
        return float("inf")
    gap = np.abs(first - second)[(first != second) & ~(np.isnan(first) & np.isnan(second))]
    return float(np.nan_to_num(gap, nan=np.inf).max()) if gap.size else 0.0
