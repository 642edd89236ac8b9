"""Another planet, and weather."""

import math

from mujoco import MjModel

from perturbations.base import Perturbation, edited, scale

AIR_DENSITY = 1.2
"""kg/m³: dry air at 20 °C and 1013 hPa, 1.204 by the ideal gas law with 287.05 J/(kg·K)."""
AIR_VISCOSITY = 1.8e-5
"""Pa·s: dry air at 20 °C by Sutherland's law (U.S. Standard Atmosphere 1976, eq. 51), 1.81e-5."""


def gravity(factor: float) -> Perturbation:
    """All three components of gravity (m/s²) times `factor`.

    The compiled value, not an attribute of the file: a model that does not mention gravity has it all the same.

    Raises:
        ValueError: a factor not finite and ≥ 0.
    """

    def edit(model: MjModel) -> None:
        model.opt.gravity *= factor

    return scale(factor, edit, zero=True)


def wind(factor: float) -> Perturbation:
    """`factor` m/s of wind against the direction of +x, in which Gymnasium's robots run; from behind if negative.

    A model without a medium, in which wind would be nothing, is put into air; one with a medium of its own keeps it.
    Every factor but 0 includes the drag of that air on what moves, and 0 leaves the model without it.

    Raises:
        ValueError: a factor that is not finite.
    """
    if not math.isfinite(factor):
        raise ValueError(f"a factor must be finite for wind, not {factor}: 0 leaves the physics as they are.")

    def edit(model: MjModel) -> None:
        if model.opt.density == 0 and model.opt.viscosity == 0:
            model.opt.density, model.opt.viscosity = AIR_DENSITY, AIR_VISCOSITY
        model.opt.wind[0] -= factor

    return edited(edit, nominal=factor == 0)
