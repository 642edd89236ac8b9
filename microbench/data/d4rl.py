"""Reader and writer of the D4RL hdf5 layout (Fu et al. 2020, arXiv:2004.07219).

The names of episode ends in other programs' files are in microbench.data.ends. The ways in which rows become
transitions are in microbench.data.rows. Nothing outside the file is ever read (microbench.data.hdf5_arrays).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from microbench.data import ends
from microbench.data.dataset import Dataset
from microbench.data.ends import Ends, ends_of
from microbench.data.hdf5_arrays import DAMAGE, MOST_VIEWS, Allowance, Refused, check, find, read
from microbench.data.rows import convention, successors
from microbench.errors import UserError
from reports.files import replacing

REQUIRED = ("observations", "actions", "rewards")
MATRICES = ("observations", "actions", "next_observations")  # (N, D); everything else is (N,) or (N, 1)
Arrays = dict[str, NDArray[np.float32]]


def read_d4rl(
    path: Path, *, env_id: str, rows: str = "reference", name: str | None = None, limit: int | None = None
) -> Dataset:
    """Read an hdf5 file in D4RL's layout.

    float64, `(N, 1)` and float-flag files (the replay sets) are converted. Files end at a round number of rows, so rows
    after the last flag are an unfinished episode. Its rows are kept, but it has no return. Where the file has no
    truncation flags, episodes end after `limit` steps. The dataset's `remarks` record every such assumption.

    Raises:
        UserError: the file is missing, truncated, or lacks an array. Or its arrays have unequal lengths, a wrong rank,
            NaN or infinity, or no usable row. Or they are stored in another file, or too large for the file's size.

    """
    rows = convention(rows)
    arrays = _read_arrays(path)
    obs, reward, recorded = arrays["observations"], arrays["rewards"], arrays.get("next_observations")
    episodes = ends_of(arrays, limit)
    next_obs, keep = successors(rows, obs, recorded, episodes, limit)
    if not keep.any():
        raise UserError(f"{path} has no usable transition in {len(reward)} rows; expected at least 2 rows.")
    return Dataset(
        name=name or path.stem,
        env_id=env_id,
        sha256=file_sha256(path),
        obs=obs[keep],
        action=arrays["actions"][keep],
        reward=reward[keep],
        next_obs=next_obs[keep],
        terminal=episodes.terminated[keep],
        timeout=episodes.truncated[keep],
        episode_returns=finished_returns(reward, episodes.last),
        rows=rows,
        remarks=_remarks(path, episodes, keep, limit, env_id),
    )


def _remarks(path: Path, episodes: Ends, keep: NDArray[np.bool_], limit: int | None, env_id: str) -> tuple[str, ...]:
    sentences = ends.remarks(episodes, limit, env_id)
    if episodes.terminated.any() and not episodes.terminated[keep].any():
        count = int(episodes.terminated.sum())
        sentences.append(f"it has no next_observations, so its {count} terminations are not among the transitions")
    return tuple(f"{path}: {sentence}." for sentence in sentences)


def _read_arrays(path: Path) -> Arrays:
    if not path.is_file():
        raise UserError(f"there is no file {path}; give the path of a D4RL hdf5 file or a dataset's name.")
    try:
        with h5py.File(path, "r") as file:
            stored = _stored(path, file)
            return {key: _as_float32(path, key, read(array)) for key, array in stored.items()}
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"{path} does not fit into memory; cut it into smaller files.") from error
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"{path} cannot be read as hdf5 ({reason}): it is damaged or incomplete; fetch it again."
        ) from error


def _stored(path: Path, file: h5py.File) -> dict[str, Any]:
    """The file's arrays of transitions, not read yet; their kinds, shapes and sizes have been checked."""
    allowance, stored = Allowance.of(path.stat().st_size), {}
    for key in (*REQUIRED, *ends.NAMES, "next_observations"):
        try:
            array = find(file, key)
            if array is not None:
                _check_rank(path, key, array.shape)
                check(array, allowance)
                stored[key] = array
        except Refused as refused:
            raise UserError(
                f"'{key}' in {path} is {refused}; expected an array of numbers in the file itself, in D4RL's layout."
            ) from refused
    missing = [key for key in REQUIRED if key not in stored]
    lacks = ", ".join([*missing, *filter(None, [ends.lacking(stored)])])
    if lacks:
        wanted = ", ".join((*REQUIRED, "terminals"))
        raise UserError(f"{path} lacks {lacks}; expected the D4RL layout with {wanted}.")
    _check_shapes(path, {key: array.shape for key, array in stored.items()})
    return stored


def _check_rank(path: Path, key: str, shape: tuple[int, ...] | None) -> None:
    if shape is None:
        raise Refused("empty")
    matrix = key in MATRICES
    fine = len(shape) == 2 and shape[1] > 0 if matrix else len(shape) == 1 or shape[1:] == (1,)
    if not fine:
        raise UserError(f"'{key}' in {path} has shape {shape}; expected {'(N, D)' if matrix else '(N,)'}.")


def _check_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if len({shape[0] for shape in shapes.values()}) > 1:
        lengths = ", ".join(f"{key} {shape[0]}" for key, shape in shapes.items())
        raise UserError(f"the arrays in {path} have unequal lengths ({lengths}); expected one row per transition.")
    if shapes.get("next_observations", shapes["observations"]) != shapes["observations"]:
        raise UserError(
            f"'next_observations' in {path} has shape {shapes['next_observations']}, "
            f"'observations' {shapes['observations']}; expected the same shape."
        )


def _as_float32(path: Path, key: str, stored: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which is refused below
        array = np.asarray(stored, dtype=np.float32)
    if key not in MATRICES:
        array = array.reshape(len(array))  # some replay files hold rewards as (N, 1)
    bad = ~np.isfinite(array).all(tuple(range(1, array.ndim)))
    if bad.any():
        raise UserError(f"'{key}' in {path} holds NaN or infinity, first in row {int(bad.argmax())}; remove such rows.")
    return array


def finished_returns(reward: NDArray[np.float32], last: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns of the episodes that end in a row marked `last`; rows after the last mark are left out."""
    ends = np.flatnonzero(last)
    totals = np.concatenate([[0.0], np.cumsum(reward, dtype=np.float64)[ends]])
    return np.diff(totals)


def file_sha256(path: Path) -> str:
    """Hex digest of the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_d4rl(path: Path, episodes: "list[dict[str, NDArray[np.float32]]]", metadata: Mapping[str, str | int]) -> None:
    """Write episodes in D4RL layout, whole or not at all: the file is written beside `path` and then renamed.

    Every episode holds observations (T + 1, S), actions (T, A), rewards (T,), and its flags `terminal` and `timeout`.
    `next_observations` is a virtual view of the stored observations, which halves the file; any hdf5 ≥ 1.10 reads it
    as an ordinary array. Beyond `MOST_VIEWS` episodes the array is stored in full.
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
        if len(lengths) <= MOST_VIEWS:
            _link_states(file, lengths, ends)
        else:
            for key, rows in (("observations", slice(None, -1)), ("next_observations", slice(1, None))):
                shown = np.concatenate([episode["observations"][rows] for episode in episodes])
                file.create_dataset(key, data=shown, **options)
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
