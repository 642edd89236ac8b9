"""Perturbations of the robot's surroundings: gravity and wind."""

import math

from mujoco import MjModel

from perturbations.base import Perturbation, edited, scale

AIR_DENSITY = 1.2
"""Density in kg/m³ of dry air at 20 °C and 1013 hPa: 1.204 by the ideal gas law with 287.05 J/(kg·K)."""
AIR_VISCOSITY = 1.8e-5
"""Viscosity in Pa·s of dry air at 20 °C: 1.81e-5 by Sutherland's law (U.S. Standard Atmosphere 1976, eq. 51)."""


def gravity(factor: float) -> Perturbation:
    """Multiply all three components of gravity (m/s²) by `factor`.

    It changes the compiled value, so that it also acts on a model whose file does not mention gravity.

    Raises:
        ValueError: a factor not finite and ≥ 0.
    """

    def edit(model: MjModel) -> None:
        model.opt.gravity *= factor

    return scale(factor, edit, zero=True)


def wind(factor: float) -> Perturbation:
    """Blow with `factor` m/s against +x, the direction in which Gymnasium's robots run; from behind if negative.

    A model without a medium is put into air, because wind needs one; a model's own medium stays. So every factor but 0
    also adds the drag of that air on the moving robot, and 0 does not.

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
