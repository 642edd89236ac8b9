"""Eight rows and three episodes in D4RL's layout, with everything that can be there."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

# Eight rows: an episode that falls (0, 1), one that is cut (2, 3, 4), one that falls (5), and an unflagged tail (6, 7).
OBS = [[0.0, 10.0], [1.0, 11.0], [2.0, 12.0], [3.0, 13.0], [4.0, 14.0], [5.0, 15.0], [6.0, 16.0], [7.0, 17.0]]
# True successors; those of rows 1, 4, 5 are shown nowhere else in the file, and row 7's is its own.
NEXT = [[1.0, 11.0], [1.5, 11.5], [3.0, 13.0], [4.0, 14.0], [4.5, 14.5], [5.5, 15.5], [7.0, 17.0], [7.5, 17.5]]
REWARD = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
TERMINAL = [0, 1, 0, 0, 0, 1, 0, 0]
TIMEOUT = [0, 0, 0, 0, 1, 0, 0, 0]


def arrays(**changes: Any) -> dict[str, npt.NDArray[Any]]:
    plain: dict[str, Any] = {
        "observations": np.array(OBS, np.float32),
        "actions": np.array([[row / 10] for row in range(8)], np.float32),
        "rewards": np.array(REWARD, np.float32),
        "terminals": np.array(TERMINAL, bool),
        "timeouts": np.array(TIMEOUT, bool),
        "next_observations": np.array(NEXT, np.float32),
    }
    return {key: value for key, value in (plain | changes).items() if value is not None}


def stored(folder: Path, **changes: Any) -> Path:
    path = folder / "hopper_medium-v2.hdf5"
    with h5py.File(path, "w") as file:
        for key, value in arrays(**changes).items():
            file[key] = value
    return path


def episode(length: int, *, terminal: bool, start: int) -> dict[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(start)
    return {
        "observations": rng.normal(size=(length + 1, 3)).astype(np.float32),
        "actions": rng.normal(size=(length, 2)).astype(np.float32),
        "rewards": rng.normal(size=length).astype(np.float32),
        "terminal": np.float32(terminal).reshape(1),
        "timeout": np.float32(not terminal).reshape(1),
    }


EPISODES = [episode(4, terminal=True, start=1), episode(1, terminal=False, start=2), episode(7, terminal=True, start=3)]
