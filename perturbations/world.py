"""Another planet."""

from mujoco import MjModel

from perturbations.base import Perturbation, scale


def gravity(factor: float) -> Perturbation:
    """All three components of gravity (m/s²) times `factor`.

    The compiled value, not an attribute of the file: a model that does not mention gravity has it all the same.

    Raises:
        ValueError: a factor not finite and ≥ 0.
    """

    def edit(model: MjModel) -> None:
        model.opt.gravity *= factor

    return scale(factor, edit, zero=True)
