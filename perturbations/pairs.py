"""Pairs of geoms: whether they can touch, and the friction of their contact. P pairs of geoms."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import MjModel

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]

_CONTACT_COLUMNS = [0, 0, 1, 2, 2]
"""Column of a geom's three coefficients for each of a contact's five: two sliding, one torsional, two rolling."""


def contact_friction(model: MjModel, unreachable: Iterable[tuple[str, str]] = ()) -> Floats:
    """The friction of each pair of geoms in contact, (ngeom, ngeom, 5): 2 sliding, torsional, 2 rolling.

    A contact has the larger coefficients of its two geoms, or those of the geom with the higher priority, and at least
    MuJoCo's minimum. Explicit contact pairs have their own. Coefficients that the contact's dimension excludes are 0
    (condim 1 uses none, 3 the sliding ones, 4 the torsional one too, 6 all). So are pairs that cannot collide, and the
    diagonal and all entries below it.
    """
    first, second = np.triu_indices(model.ngeom, k=1)  # (P,)
    friction = _by_priority(model, model.geom_friction[:, _CONTACT_COLUMNS], first, second)  # (P, 5)
    dimension = _by_priority(model, model.geom_condim, first, second)  # (P,)
    result = np.zeros((model.ngeom, model.ngeom, 5))
    result[first, second] = _acting(friction, dimension)
    result[_explicit(model)] = _acting(model.pair_friction, model.pair_dim)
    result[~touching(model, unreachable)] = 0
    return result


def touching(model: MjModel, unreachable: Iterable[tuple[str, str]] = ()) -> Bools:
    """Whether each pair of geoms can collide, (ngeom, ngeom); True only above the diagonal.

    Args:
        model: a compiled model.
        unreachable: pairs of geom names that never touch although MuJoCo would let them.
    """
    first, second = np.triu_indices(model.ngeom, k=1)  # (P,)
    result = np.zeros((model.ngeom, model.ngeom), dtype=np.bool_)
    if model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONTACT:
        return result
    result[first, second] = _can_collide(model, first, second)
    result[_explicit(model)] = True
    for names in unreachable:
        ids = sorted(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, name) for name in names)
        if ids[0] >= 0:
            result[ids[0], ids[1]] = False
    return result


def _explicit(model: MjModel) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The smaller and the larger geom id of every explicit contact pair, (npair,) each."""
    ends = np.sort(np.stack([model.pair_geom1, model.pair_geom2]), axis=0)
    return ends[0], ends[1]


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
    """Whether MuJoCo's filters let each pair collide (P,).

    They are contact bits, same body, parent and child (unless one is fixed to the world), and exclusions.
    """
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
