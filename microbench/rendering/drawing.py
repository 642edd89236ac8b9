"""Pictures of a MuJoCo model without a screen, drawn in a process of their own.

MuJoCo chooses its OpenGL when it is first imported, and a driver that fails may end the process. So each backend is
tried in a fresh process, and nothing here imports mujoco before that process has chosen its backend.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np
import numpy.typing as npt

from microbench.errors import UserError

Frames = npt.NDArray[np.uint8]

WAYS = ("egl", "osmesa")
"""Values of MUJOCO_GL that need no screen. If the user has set one, only that is tried."""


def draw(model: bytes, positions: npt.NDArray[np.float64], *, width: int, height: int) -> Frames:
    """One picture per row of `positions` (F, nq), by the model's tracking camera; returns (F, height, width, 3).

    `model` is a binary MuJoCo model. Raises UserError where OpenGL does not work without a screen.
    """
    users_way = os.environ.get("MUJOCO_GL")
    reasons = []
    for way in [users_way] if users_way else WAYS:
        context = multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(1, mp_context=context, initializer=_choose, initargs=(way,)) as pool:
                return pool.submit(_draw, model, positions, width, height).result()
        except BrokenProcessPool:
            reasons.append(f"{way}: the driver ended the process")
        except Exception as error:  # whatever a driver raises: try the next way, and report all reasons at the end
            reasons.append(f"{way}: {error}".splitlines()[0])
    raise UserError(
        f"nothing can be drawn without a screen ({'; '.join(reasons)}); install EGL or OSMesa (Debian: libegl1 or "
        "libosmesa6), or choose a working one with MUJOCO_GL."
    )


def _choose(way: str) -> None:
    os.environ["MUJOCO_GL"] = way


def _draw(binary: bytes, positions: npt.NDArray[np.float64], width: int, height: int) -> Frames:
    import mujoco

    model = mujoco.MjModel.from_binary_path("model.mjb", {"model.mjb": binary})
    model.vis.global_.offwidth, model.vis.global_.offheight = width, height
    data = mujoco.MjData(model)
    camera = _camera(mujoco, model)
    frames = np.zeros((len(positions), height, width, 3), np.uint8)
    with mujoco.Renderer(model, height, width) as renderer:
        for frame, qpos in zip(frames, positions, strict=True):
            data.qpos[:] = qpos
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera)
            renderer.render(out=frame)
    return frames


def _camera(mujoco: Any, model: Any) -> Any:
    """The model's camera named `track`, which Gymnasium's robots have; else a free camera that sees everything."""
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "track") >= 0:
        return "track"
    camera = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, camera)
    return camera
