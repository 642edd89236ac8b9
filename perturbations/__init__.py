"""Change the physics of any compiled MuJoCo model, and prove that they changed.

heavier = mass(1.2)(model)                              # a changed copy
slippery = parse("mass=1.2,friction=0.5")(model)        # several at once
physics_difference(model, slippery)                     # what differs, by field
"""

import importlib
from collections.abc import Callable

from perturbations.actuators import strength
from perturbations.base import Perturbation, compose, nearest
from perturbations.bodies import mass
from perturbations.contact import friction
from perturbations.effect import contact_friction, is_no_op, physics_difference
from perturbations.joints import armature, damping
from perturbations.world import gravity

__all__ = [
    "PERTURBATIONS",
    "Perturbation",
    "armature",
    "compose",
    "contact_friction",
    "damping",
    "friction",
    "gravity",
    "is_no_op",
    "mass",
    "parse",
    "physics_difference",
    "resolve",
    "strength",
]

PERTURBATIONS: dict[str, Callable[[float], Perturbation]] = {
    "mass": mass,
    "friction": friction,
    "gravity": gravity,
    "damping": damping,
    "armature": armature,
    "strength": strength,
}


def resolve(name: str) -> Callable[[float], Perturbation]:
    """The function factor → perturbation of a built-in name, or of `module:name`.

    Raises:
        ValueError: an unknown name (with the nearest one), a module that cannot be imported, or one without it.
    """
    if ":" not in name:
        if name not in PERTURBATIONS:
            raise ValueError(f"there is no perturbation '{name}': {nearest(name, PERTURBATIONS)}.")
        return PERTURBATIONS[name]
    module_name, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except (ImportError, ValueError) as error:
        raise ValueError(f"the perturbation '{name}' cannot be imported ({error}): check the module's name.") from error
    if not callable(found):
        raise ValueError(f"'{module_name}' has no function '{attribute}': name one that takes a factor.")
    make: Callable[[float], Perturbation] = found
    return make


def parse(text: str) -> Perturbation:
    """`"mass=1.2,friction=0.8"` → the composed perturbation, applied from left to right.

    Raises:
        ValueError: an unknown name or a factor that is not a number it can take.
    """
    parts: list[Perturbation] = []
    for item in text.split(","):
        name, _, factor = item.partition("=")
        try:
            number = float(factor)
        except ValueError:
            raise ValueError(f"'{item}' is not a name and a factor: write them as mass=1.2,friction=0.8.") from None
        parts.append(resolve(name.strip())(number))
    return compose(*parts)
