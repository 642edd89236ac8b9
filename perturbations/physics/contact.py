"""The friction perturbation: slippery and sticky contacts."""

from collections.abc import Sequence

import mujoco
from mujoco import MjModel

from perturbations.base import Names, Perturbation, indices, scale

_PAIR_COLUMNS = {0: [0, 1], 1: [2], 2: [3, 4]}
"""Column of a geom's friction → columns of an explicit pair's: two sliding, one torsional and two rolling."""


def friction(factor: float, geoms: Names = None, *, columns: Sequence[int] = (0,)) -> Perturbation:
    """Multiply the friction of all geoms and explicit contact pairs, or of the named geoms, by `factor`.

    A contact slides with the *larger* of its two geoms' coefficients. So halving the floor's alone changes nothing for
    a robot whose feet are rougher than the floor.

    Args:
        factor: finite and ≥ 0; MuJoCo keeps a contact's friction at 1e-5 or more.
        geoms: names of geoms; with names, explicit pairs stay unchanged.
        columns: 0 sliding, 1 torsional, 2 rolling.

    Raises:
        ValueError: a bad factor or column (at once); an unknown geom (when applied).
    """
    if not columns or not set(columns) <= {0, 1, 2}:
        raise ValueError(f"friction columns are 0 (sliding), 1 (torsional) and 2 (rolling), not {tuple(columns)}.")

    def edit(model: MjModel) -> None:
        ids = indices(model, mujoco.mjtObj.mjOBJ_GEOM, geoms)
        for column in sorted(set(columns)):
            model.geom_friction[ids, column] *= factor
            if geoms is None:
                model.pair_friction[:, _PAIR_COLUMNS[column]] *= factor

    return scale(factor, edit, zero=True)
