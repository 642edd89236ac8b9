"""Arrays of an hdf5 file in memory, within limits; links out of the file are not followed."""

import io
from collections.abc import Callable
from typing import Any

import h5py
from numpy.typing import NDArray

from microbench.checkpoints.containers.archives import FREE_BYTES, MOST_BYTES, MOST_GROWTH
from microbench.checkpoints.containers.budget import accounted, pay
from microbench.data.hdf5_arrays import Allowance, Refused, check, find, read

MOST_DEPTH, MOST_ENTRIES = 12, 20_000
KINDS = frozenset("fiubS")  # numbers and bytes, but no references


def read_hdf5(raw: bytes, wanted: Callable[[list[str]], list[str]], *, views: bool = False) -> dict[str, NDArray[Any]]:
    """The datasets that `wanted` chooses among all paths; `views` allows virtual views of the file's own arrays.

    Raises:
        ValueError: a dataset lies outside the file, holds no numbers or is far larger than the file. Or there are too
            many datasets.
        OSError: the file is damaged; the error has no number.
    """
    with accounted(len(raw)), h5py.File(io.BytesIO(raw), "r") as file:
        paths: list[str] = []
        _walk(file, "", paths, set(), 0)
        allowance = Allowance.of(min(len(raw), MOST_BYTES // MOST_GROWTH), free=FREE_BYTES, growth=MOST_GROWTH)
        return {path: _array(file, path, allowance, views=views) for path in wanted(paths)}


def _walk(group: Any, path: str, paths: list[str], seen: set[tuple[int, int]], depth: int) -> None:
    """Add the paths of all datasets below the group, by hard links only and each group by its first path only."""
    place = h5py.h5o.get_info(group.id)
    if (place.fileno, place.addr) in seen:
        return
    seen.add((place.fileno, place.addr))
    if len(paths) + len(seen) + len(group) > MOST_ENTRIES or depth > MOST_DEPTH:
        raise ValueError("an hdf5 file with more entries than a policy has")
    for name in group:
        pay(steps=100)
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        kind = group.get(name, getclass=True)
        if kind is h5py.Group:
            _walk(group[name], f"{path}{name}/", paths, seen, depth + 1)
        elif kind is h5py.Dataset:
            paths.append(f"{path}{name}")


def _array(file: h5py.File, path: str, allowance: Allowance, *, views: bool) -> NDArray[Any]:
    dataset = find(file, path)
    if dataset is None:
        raise ValueError(f"no {path}")
    try:
        check(dataset, allowance, kinds=KINDS, views=views)
    except Refused as refused:
        raise ValueError(f"{path} is {refused}") from refused
    pay(size=3 * int(dataset.nbytes), steps=100 + int(dataset.nbytes) // 1000)
    return read(dataset)
