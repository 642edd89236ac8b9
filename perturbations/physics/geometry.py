"""The limb-size perturbations: every geom grows about its own centre, and MuJoCo recomputes derived quantities."""

from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
from mujoco import MjModel, mjtGeom, mjtObj, mjtSameFrame

from perturbations.base import Names, Perturbation, indices, scale

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SOLID = (mjtGeom.mjGEOM_SPHERE, mjtGeom.mjGEOM_CAPSULE, mjtGeom.mjGEOM_ELLIPSOID, mjtGeom.mjGEOM_CYLINDER)
_RESIZABLE = [int(kind) for kind in (*_SOLID, mjtGeom.mjGEOM_BOX)]
_FIT = 1e-8
"""Largest relative difference between a body's inertia and that of its geoms: rounding, but no other distribution."""


def limb_size(factor: float, geoms: Names = None) -> Perturbation:
    """Multiply the size of the robot's geoms, or of the named ones, by `factor`; mass and inertia stay.

    Geoms grow about their own centres: contacts move, joints and matter stay, so that limbs end elsewhere than their
    joints. Without contacts nothing changes, because MuJoCo's default drag follows inertia, not geoms.

    Raises:
        ValueError: a factor not finite and > 0 (at once). When applied: an unknown geom, one that is fixed to the
            world, or one without a size of its own, such as a mesh.
    """

    def edit(model: MjModel) -> None:
        ids = _resizable(model, geoms)
        model.geom_size[ids] *= factor
        bodies = np.unique(model.geom_bodyid[ids])
        _adopt(model, bodies, _compiled(model, bodies))

    return scale(factor, edit)


def limb_size_density(factor: float, geoms: Names = None) -> Perturbation:
    """Multiply the size of the robot's geoms, or of the named ones, by `factor`; density stays.

    The result equals, to rounding, a model compiled with resized geoms: mass (× `factor`³ if all are resized), inertia
    and centre of mass follow.

    Raises:
        ValueError: as `limb_size`; and a body whose mass is not that of its geoms at one density (when applied).
    """

    def edit(model: MjModel) -> None:
        ids = _resizable(model, geoms)
        bodies = np.unique(model.geom_bodyid[ids])
        density = _densities(model, bodies)
        model.geom_size[ids] *= factor
        compiled = _compiled(model, bodies, density)
        _adopt(model, bodies, compiled)
        _adopt_inertia(model, bodies, compiled)

    return scale(factor, edit)


def _resizable(model: MjModel, names: Names) -> Ints:
    """The ids of the named geoms, or of all that are not fixed to the world; ValueError if one cannot be resized."""
    chosen = indices(model, mjtObj.mjOBJ_GEOM, names)
    fixed = model.body_weldid[model.geom_bodyid[chosen]] == 0
    if names is not None and fixed.any():
        raise ValueError(f"geom {_name(model, chosen[fixed][0])} is fixed to the world: name geoms of the robot.")
    chosen = np.asarray(chosen[~fixed], dtype=np.int64)
    for geom in chosen:
        if model.geom_type[geom] not in _RESIZABLE:
            kind = mjtGeom(int(model.geom_type[geom])).name.removeprefix("mjGEOM_").lower()
            raise ValueError(f"geom {_name(model, geom)} is a {kind}, without a size to scale: name other geoms.")
    return chosen


def _densities(model: MjModel, bodies: Ints) -> Floats:
    """The density (kg/m³) of each body; ValueError if a body's inertia does not follow from a single density."""
    unit = _compiled(model, bodies, np.ones(len(bodies)))
    density: Floats = model.body_mass[bodies] / unit.body_mass[1:]
    for number, body in enumerate(bodies):
        reach = float(model.geom_rbound[model.geom_bodyid == body].max())
        shift = np.abs(model.body_ipos[body] - unit.body_ipos[number + 1]).max() / reach
        inertia = _inertia(model, body)
        skew = np.abs(inertia - density[number] * _inertia(unit, number + 1)).max() / np.trace(inertia)
        if not max(shift, skew) < _FIT:
            word = mujoco.mj_id2name(model, mjtObj.mjOBJ_BODY, body) or f"number {body}"
            raise ValueError(
                f"the mass of body {word} is not that of its geoms at one density: use limb-size, which keeps the mass."
            )
    return density


def _compiled(model: MjModel, bodies: Ints, density: Floats | None = None) -> MjModel:
    """The bodies alone with their geoms, as MuJoCo compiles them; without densities their mass is kept."""
    spec = mujoco.MjSpec()
    spec.compiler.inertiafromgeom = density is not None
    for number, body in enumerate(bodies):
        added = spec.worldbody.add_body()
        if density is None:
            added.explicitinertial = True
            added.mass, added.inertia = model.body_mass[body], model.body_inertia[body]
            added.ipos, added.iquat = model.body_ipos[body], model.body_iquat[body]
        for geom in np.flatnonzero(model.geom_bodyid == body):
            copied = added.add_geom(density=1.0 if density is None else density[number])
            for field in ("type", "size", "pos", "quat", "contype", "conaffinity"):
                setattr(copied, field, getattr(model, f"geom_{field}")[geom])
            copied.fluid_ellipsoid, copied.fluid_coefs = model.geom_fluid[geom, 0], model.geom_fluid[geom, 1:6]
    return spec.compile()


def _adopt(model: MjModel, bodies: Ints, compiled: MjModel) -> None:
    """Copy the quantities that follow from sizes, collision bounds and fluid forces, from the compiled model.

    MuJoCo 4.0 also recomputes them in `mj_setConst`. MuJoCo 3.12 does not, and would miss contacts without this copy.
    """
    geoms = np.isin(model.geom_bodyid, bodies)
    for field in ("geom_rbound", "geom_aabb", "geom_fluid"):
        getattr(model, field)[geoms] = getattr(compiled, field)
    for number, body in enumerate(bodies, start=1):
        tree = _slice(model.body_bvhadr[body], model.body_bvhnum[body])
        new = _slice(compiled.body_bvhadr[number], compiled.body_bvhnum[number])
        for field in ("bvh_aabb", "bvh_child", "bvh_depth"):
            getattr(model, field)[tree] = getattr(compiled, field)[new]
        leaves = compiled.bvh_nodeid[new]
        shift = model.body_geomadr[body] - compiled.body_geomadr[number]
        model.bvh_nodeid[tree] = np.where(leaves < 0, leaves, leaves + shift)


def _adopt_inertia(model: MjModel, bodies: Ints, compiled: MjModel) -> None:
    """Copy mass, inertia and their frames from the compiled model."""
    askew = compiled.body_sameframe[1:] != mjtSameFrame.mjSAMEFRAME_BODY
    if (askew & (model.body_simple[bodies] == 1)).any():
        raise ValueError("a free body would lose the symmetry MuJoCo relies on: use limb-size or resize all its geoms.")
    for field in ("body_mass", "body_inertia", "body_ipos", "body_iquat"):
        getattr(model, field)[bodies] = getattr(compiled, field)[1:]


def _inertia(model: MjModel, body: int) -> Floats:
    """The inertia (3, 3) about the centre of mass, in the body's frame."""
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, model.body_iquat[body])
    turn = axes.reshape(3, 3)
    return np.asarray(turn @ np.diag(model.body_inertia[body]) @ turn.T)


def _slice(start: Any, count: Any) -> slice:
    return slice(int(start), int(start) + int(count))


def _name(model: MjModel, geom: int) -> str:
    return mujoco.mj_id2name(model, mjtObj.mjOBJ_GEOM, geom) or f"number {geom}"
