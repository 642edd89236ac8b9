"""Reader and writer of the D4RL hdf5 layout.

Fu et al. 2020, arXiv:2004.07219. Two row conventions exist. `d4rl` is that of D4RL's `qlearning_dataset`, which
published numbers use: the last row and rows with a timeout are dropped, and next_obs is the next row's obs. `strict`
keeps every row whose successor is known and takes it from `next_observations`.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from microbench.data.dataset import Dataset
from microbench.errors import UserError
from reports.rows.files import replacing

ROWS = ("d4rl", "strict")
_REQUIRED = ("observations", "actions", "rewards", "terminals")


def read_d4rl(path: Path, *, env_id: str, rows: str = "d4rl", name: str | None = None) -> Dataset:
    """Read a D4RL hdf5 file.

    float64, `(N, 1)` and float-flag files (the replay sets) are converted; an unflagged tail (files are cut at a round
    number of rows) counts as an unfinished episode: its rows are kept, its return is not.

    Raises:
        UserError: the file is missing, truncated, lacks an array, has arrays of unequal length or wrong rank, holds
            NaN or infinity, or has no usable row.

    """
    if rows not in ROWS:
        raise UserError(f"rows is '{rows}', expected one of {' or '.join(ROWS)}.")
    arrays = _read_arrays(path)
    obs, action, reward = arrays["observations"], arrays["actions"], arrays["rewards"]
    terminal = arrays["terminals"] > 0.5
    timeout = arrays["timeouts"] > 0.5 if "timeouts" in arrays else np.zeros(len(reward), bool)
    next_obs, keep = _successors(obs, arrays.get("next_observations"), terminal, timeout, rows)
    if not keep.any():
        raise UserError(f"{path} has no usable transition in {len(reward)} rows; expected at least 2 rows.")
    return Dataset(
        name=name or path.stem,
        env_id=env_id,
        sha256=file_sha256(path),
        obs=obs[keep],
        action=action[keep],
        reward=reward[keep],
        next_obs=next_obs[keep],
        terminal=terminal[keep],
        timeout=timeout[keep],
        episode_returns=finished_returns(reward, terminal | timeout),
    )


def _successors(
    obs: NDArray[np.float32],
    recorded: NDArray[np.float32] | None,
    terminal: NDArray[np.bool_],
    timeout: NDArray[np.bool_],
    rows: str,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """next_obs (N, S) and the mask (N,) of rows whose next_obs may be used."""
    if rows == "strict" and recorded is not None:
        return recorded, np.ones(len(obs), bool)
    following = np.concatenate([obs[1:], obs[-1:]])
    # A terminal row's successor is masked in every backup, so the next episode's first state does no harm there.
    keep = ~timeout | (terminal if rows == "strict" else False)
    keep[-1:] = False  # its successor is unknown
    return following, keep


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise UserError(f"there is no file {path}; give the path of a D4RL hdf5 file or a dataset's name.")
    try:
        with h5py.File(path, "r") as file:
            missing = [key for key in _REQUIRED if key not in file]
            if missing:
                raise UserError(
                    f"{path} lacks {', '.join(missing)}; expected the D4RL layout with {', '.join(_REQUIRED)}."
                )
            keys = [key for key in (*_REQUIRED, "timeouts", "next_observations") if key in file]
            arrays = {key: _as_float32(path, key, file[key]) for key in keys}
    except (OSError, RuntimeError) as error:  # h5py raises either, depending on where the damage is
        raise UserError(
            f"{path} cannot be read as hdf5 ({error}): it is damaged or incomplete; fetch it again."
        ) from error
    _check_lengths(path, arrays)
    return arrays


def _as_float32(path: Path, key: str, stored: Any) -> NDArray[np.float32]:
    if not isinstance(stored, h5py.Dataset) or stored.dtype.kind not in "fiub":
        raise UserError(f"'{key}' in {path} is not an array of numbers; expected the D4RL layout.")
    rank = 2 if key in ("observations", "actions", "next_observations") else 1
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which is told below
        array = np.asarray(stored[()], dtype=np.float32)
    if rank == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # some replay files hold rewards as (N, 1)
    if array.ndim != rank:
        raise UserError(f"'{key}' in {path} has shape {array.shape}; expected {'(N, D)' if rank == 2 else '(N,)'}.")
    bad = ~np.isfinite(array).all(tuple(range(1, rank)))
    if bad.any():
        raise UserError(f"'{key}' in {path} holds NaN or infinity, first in row {int(bad.argmax())}; remove such rows.")
    return array


def _check_lengths(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise UserError(f"the arrays in {path} have unequal lengths ({told}); expected one row per transition.")
    if "next_observations" in arrays and arrays["next_observations"].shape != arrays["observations"].shape:
        raise UserError(
            f"'next_observations' in {path} has shape {arrays['next_observations'].shape}, "
            f"'observations' {arrays['observations'].shape}; expected the same shape."
        )


def finished_returns(reward: NDArray[np.float32], last: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns of the episodes that end in a row marked `last`; an unmarked tail is left out."""
    ends = np.flatnonzero(last)
    totals = np.concatenate([[0.0], np.cumsum(reward, dtype=np.float64)[ends]])
    return np.diff(totals)


def file_sha256(path: Path) -> str:
    """Hex digest of the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_d4rl(path: Path, episodes: "list[dict[str, NDArray[np.float32]]]", metadata: Mapping[str, str | int]) -> None:
    """Write episodes in D4RL layout, beside `path` and then renamed.

    Every episode holds observations (T + 1, S), actions (T, A), rewards (T,), and the flag `terminal` of its end.
    `next_observations` is a virtual view of the stored observations, which halves the file; any hdf5 ≥ 1.10 reads it
    as an ordinary array.
    """
    with replacing(path) as part, h5py.File(part, "w") as file:
        options = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
        lengths = np.array([len(episode["rewards"]) for episode in episodes])
        ends = np.cumsum(lengths)
        states = np.concatenate([episode["observations"] for episode in episodes])
        file.create_dataset("infos/states", data=states, **options)
        for key in ("actions", "rewards"):
            file.create_dataset(key, data=np.concatenate([episode[key] for episode in episodes]), **options)
        terminal = np.zeros(ends[-1], bool)
        terminal[ends - 1] = [bool(episode["terminal"]) for episode in episodes]
        timeout = np.zeros(ends[-1], bool)
        timeout[ends - 1] = [bool(episode["timeout"]) for episode in episodes]
        file.create_dataset("terminals", data=terminal, **options)
        file.create_dataset("timeouts", data=timeout, **options)
        _link_states(file, lengths, ends)
        for key, value in metadata.items():
            file[f"metadata/{key}"] = value


def _link_states(file: h5py.File, lengths: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    """Make observations and next_observations views of the (T + 1) states of each episode."""
    states = file["infos/states"]
    size = states.shape[1]
    for key, shift in (("observations", 0), ("next_observations", 1)):
        space = h5py.h5s.create_simple((int(ends[-1]), size))
        source = states.id.get_space()
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_obj_track_times(False)  # no time stamps: equal rows give equal bytes
        for number, (length, end) in enumerate(zip(lengths.tolist(), ends.tolist(), strict=True)):
            start = end - length + number + shift  # every earlier episode stored one state more than it has rows
            space.select_hyperslab((end - length, 0), (1, 1), block=(length, size))
            source.select_hyperslab((start, 0), (1, 1), block=(length, size))
            plan.set_virtual(space, b".", b"infos/states", source)
        space.select_all()
        h5py.h5d.create(file.id, key.encode(), states.id.get_type(), space, plan)
