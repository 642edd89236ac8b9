"""PERTURBATIONS holds the built-in parameters by name; `resolve` also imports those of other modules."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from perturbations.base import nearest
from perturbations.compat import micro_gravity, odrl_friction, rrls_friction, rrls_mass
from perturbations.disturbances.actions import action_noise, latency
from perturbations.disturbances.contract import Disturbance
from perturbations.disturbances.pushes import push
from perturbations.disturbances.sensors import sensor_bias, sensor_dropout, sensor_noise
from perturbations.disturbances.shifts import action_bias
from perturbations.parameter import Parameter
from perturbations.physics.actuators import strength
from perturbations.physics.bodies import mass
from perturbations.physics.contact import friction
from perturbations.physics.geometry import limb_size, limb_size_density
from perturbations.physics.joints import armature, damping, frictionloss, stiffness
from perturbations.physics.surroundings import gravity, wind

_PHYSICS = (
    Parameter(name="mass", make=mass, parts="body", about="mass and inertia, times the factor"),
    Parameter(
        name="friction", make=friction, parts="geom", about="sliding friction of robot and floor, times the factor"
    ),
    Parameter(name="gravity", make=gravity, about="gravity, times the factor"),
    Parameter(name="damping", make=damping, parts="joint", about="viscous damping of joints, times the factor"),
    Parameter(name="armature", make=armature, parts="joint", about="rotor inertia at joints, times the factor"),
    Parameter(name="stiffness", make=stiffness, parts="joint", about="springs in joints, times the factor"),
    Parameter(name="frictionloss", make=frictionloss, parts="joint", about="dry friction in joints, times the factor"),
    Parameter(name="strength", make=strength, parts="actuator", about="force of the actuators, times the factor"),
    Parameter(name="limb-size", make=limb_size, parts="geom", about="size of geoms, mass kept, times the factor"),
    Parameter(
        name="limb-size-density",
        make=limb_size_density,
        parts="geom",
        about="size of geoms, density kept so that mass follows, times the factor",
    ),
    Parameter(
        name="wind", make=wind, nominal=0.0, unit="m/s", about="wind against +x in air or the model's medium, in m/s"
    ),
)

_COMPAT = (
    Parameter(name="compat:rrls-mass", make=rrls_mass, parts="body", about="as RRLS: mass without inertia, times"),
    Parameter(name="compat:rrls-friction", make=rrls_friction, about="as RRLS: friction of the floor alone, times"),
    Parameter(name="compat:odrl-friction", make=odrl_friction, about="as ODRL: friction without the floor's, times"),
    Parameter(name="compat:micro-gravity", make=micro_gravity, about="as MICRO: gravity on HalfCheetah alone, times"),
)


def _signal(
    name: str, make: Callable[..., Disturbance], about: str, unit: str = "", *, of_obs: bool = False
) -> Parameter:
    return Parameter(name=name, make=make, about=about, nominal=0.0, disturbs=True, unit=unit, scales_with_obs=of_obs)


_SIGNALS = (
    _signal("latency", latency, "actions arrive late, by control steps", "control steps"),
    _signal(
        "action-noise", action_noise, "Gaussian noise on actions, std in half actuator ranges", "× half actuator range"
    ),
    replace(
        _signal("action-bias", action_bias, "actions are shifted, by half actuator ranges", "× half actuator range"),
        parts="actuator",
    ),
    _signal("sensor-noise", sensor_noise, "Gaussian noise on observations, std in units of each sensor", of_obs=True),
    _signal("sensor-bias", sensor_bias, "an offset per episode, uniform within ± units of each sensor", of_obs=True),
    _signal("sensor-dropout", sensor_dropout, "readings lost and the last one held, as a probability", "probability"),
    _signal("push", push, "pushes of 0.1 s in every 2 s, in weights of the robot", "× weight"),
)

PERTURBATIONS: dict[str, Parameter] = {record.name: record for record in (*_PHYSICS, *_SIGNALS, *_COMPAT)}


def resolve(name: str) -> Parameter:
    """The Parameter of a built-in name, or of `module:name`.

    In a module, the name belongs to a `Parameter`, or to a function factor → perturbation. A function's nominal factor
    is its attribute `nominal`, else 1. It has parts if it takes a second argument, a tuple of names.

    Raises:
        ValueError: an unknown name (with the nearest one), or a module that is missing or lacks the name.
    """
    if name in PERTURBATIONS:
        return PERTURBATIONS[name]
    module_name, colon, attribute = name.partition(":")
    if not colon or module_name == "compat":
        raise ValueError(f"there is no perturbation '{name}': {nearest(name, PERTURBATIONS)}.")
    try:
        imported = getattr(importlib.import_module(module_name), attribute, None)
    except (ImportError, ValueError) as error:
        raise ValueError(f"the perturbation '{name}' cannot be imported ({error}): check the module's name.") from error
    if isinstance(imported, Parameter):
        return replace(imported, name=name)
    if not callable(imported):
        raise ValueError(f"'{module_name}' has no function '{attribute}': name one that takes a factor.")
    about = (inspect.getdoc(imported) or "").partition("\n")[0]
    nominal = float(getattr(imported, "nominal", 1.0))
    parts = "part" if _takes_two(imported) else None
    return Parameter(name=name, make=imported, about=about, nominal=nominal, parts=parts)


def _takes_two(function: Any) -> bool:
    """Whether the function accepts a second positional argument."""
    try:
        inspect.signature(function).bind(1.0, "name")
    except (TypeError, ValueError):
        return False
    return True
