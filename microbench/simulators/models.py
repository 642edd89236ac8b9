"""MuJoCo models for the simulators: Gymnasium's physics without textures, compiled without leaving files behind."""

import copy
from pathlib import Path

import gymnasium
import mujoco
from mujoco import MjModel

from microbench.errors import UserError
from microbench.tasks import Task
from microbench.tasks.environment import make_env


def nominal_model(task: Task) -> MjModel:
    """The unperturbed model of a task, physically bit-equal to the one Gymnasium loads.

    Raises:
        UserError: the task does not run on MuJoCo.
    """
    if task.physics is not None:
        return load_model(_assets() / task.physics.xml)
    env = make_env(task.env_id)
    model = getattr(env.unwrapped, "model", None)
    env.close()
    if not isinstance(model, MjModel):
        raise UserError(f"'{task.env_id}' has no MuJoCo model to perturb: choose a MuJoCo task.")
    return copy.deepcopy(model)


def load_model(path: Path) -> MjModel:
    """The model of a file, compiled without its textures and materials (500 of Hopper's 512 kB).

    The compiler attribute `settotalmass` (half_cheetah.xml) makes MuJoCo print a warning and write MUJOCO_LOG.TXT into
    the working directory. So the masses are scaled after compiling, with the same bits.
    """
    spec = mujoco.MjSpec.from_file(str(path))
    total_mass, spec.compiler.settotalmass = spec.compiler.settotalmass, -1
    for geom in (*spec.geoms, spec.default.geom):
        geom.material = ""
    for asset in (*spec.materials, *spec.textures):
        spec.delete(asset)
    model = spec.compile()
    if total_mass > 0:
        mujoco.mj_setTotalmass(model, total_mass)
        mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def without_islands(model: MjModel) -> MjModel:
    """A copy of the model that does not search for constraint islands: the same bits, 5 to 8 % faster."""
    plain = copy.deepcopy(model)
    plain.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_ISLAND
    return plain


UNSTABLE = [
    int(warning)
    for warning in (
        mujoco.mjtWarning.mjWARN_BADQPOS,
        mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC,
    )
]
"""The warnings after which MuJoCo has silently put the simulation back to its default state."""


def _assets() -> Path:
    """The folder of Gymnasium's model files; they are only read."""
    return Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
