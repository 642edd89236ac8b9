"""The perturbations of earlier suites, for comparison with their published numbers only; each names its fault.

Factors are relative to the nominal model, as everywhere here; divide a suite's absolute value by the nominal one. No
suite recomputes the constants that MuJoCo derives, and neither do these, alone or composed in any order.
"""

from collections.abc import Callable

import mujoco
from mujoco import MjModel

from perturbations.base import Names, Perturbation, check_scale, edited, indices

_GRAVITY_IN_FILE = {"hopper": False, "walker2d": False, "cheetah": True}
"""Model name → whether the file that MICRO edits has a gravity attribute."""


def rrls_mass(factor: float, bodies: Names = None) -> Perturbation:
    """`body_mass` alone times `factor`, as RRLS sets it (SuReLI/RRLS, 0c43dc9).

    Wrong: rotational inertia and the constants that MuJoCo derives from mass stay those of the old body, a combination
    that no physical body has. Use `mass`.

    Raises:
        ValueError: a factor not finite and > 0 (at once); an unknown body or the world (when applied).
    """

    def edit(model: MjModel) -> None:
        model.body_mass[indices(model, mujoco.mjtObj.mjOBJ_BODY, bodies)] *= factor

    return _stale(factor, edit)


def rrls_friction(factor: float) -> Perturbation:
    """The sliding friction of the floor alone times `factor`, as RRLS sets it (SuReLI/RRLS, 0c43dc9).

    Wrong: a contact slides with the larger coefficient of its two geoms, so that a floor smoother than the foot changes
    nothing. Use `friction`, which scales both.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); a model without a plane fixed to the world (when applied).
    """

    def edit(model: MjModel) -> None:
        floor = (model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE) & (model.geom_bodyid == 0)
        if not floor.any():
            raise ValueError("the model has no floor, no plane fixed to the world: use friction@GEOM instead.")
        model.geom_friction[floor, 0] *= factor

    return _stale(factor, edit, zero=True)


def odrl_friction(factor: float) -> Perturbation:
    """The sliding friction of the robot's geoms without the floor times `factor`, as ODRL's Hopper files have it.

    Wrong: a contact slides with the larger coefficient of its two geoms, so that all factors that leave the foot
    smoother than the floor are equal. ODRL's files of other robots scale both, as `friction` does (34bba73).

    Raises:
        ValueError: a factor not finite and ≥ 0.
    """

    def edit(model: MjModel) -> None:
        model.geom_friction[model.geom_bodyid != 0, 0] *= factor

    return _stale(factor, edit, zero=True)


def micro_gravity(factor: float) -> Perturbation:
    """Gravity times `factor` where the robot's file has a gravity attribute, as the MICRO reference edits it.

    Wrong: the files of Hopper and Walker2d lack the attribute, so that every factor leaves them nominal; only
    HalfCheetah's has it (xiaoyinliu0714/MICRO, 0192837). Use `gravity`, which changes the compiled value.

    Raises:
        ValueError: a factor not finite and ≥ 0 (at once); a robot that MICRO does not perturb (when applied).
    """

    def edit(model: MjModel) -> None:
        name = model.names.split(b"\0", 1)[0].decode()
        if name not in _GRAVITY_IN_FILE:
            raise ValueError(f"MICRO perturbs Hopper, Walker2d and HalfCheetah only, not '{name}': use gravity.")
        if _GRAVITY_IN_FILE[name]:
            model.opt.gravity *= factor

    return _stale(factor, edit, zero=True)


def _stale(factor: float, edit: Callable[[MjModel], None], *, zero: bool = False) -> Perturbation:
    """The perturbation that multiplies and leaves derived constants stale; ValueError as `check_scale`."""
    check_scale(factor, zero=zero)
    return edited(edit, nominal=factor == 1, derive=False)
