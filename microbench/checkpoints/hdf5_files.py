"""Arrays of an hdf5 file in memory: what lies in the file itself, within limits. Links out of it are not followed."""

import io
import math
import zlib
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from microbench.checkpoints.archives import FREE_BYTES, MOST_BYTES, MOST_GROWTH
from microbench.checkpoints.budget import accounted, pay

MOST_DEPTH, MOST_ENTRIES = 12, 20_000
KINDS = frozenset("fiubS")  # numbers and bytes; nothing that refers to anything
DEFLATE = 1
FILTERS = frozenset({DEFLATE, 2, 3, 32000})  # deflate, shuffle, checksum, lzf: what h5py itself writes
SMALL_CHUNK = 2**17  # as it is stored; deflate makes at most a thousand times that of it


def read_hdf5(raw: bytes, wanted: Callable[[list[str]], list[str]]) -> dict[str, NDArray[Any]]:
    """The datasets that `wanted` chooses among all paths.

    Raises:
        ValueError: a dataset outside the file, of something else than numbers, or far larger than the file; too many.
        OSError: without a number, if the file is damaged.
    """
    with accounted(len(raw)), h5py.File(io.BytesIO(raw), "r") as file:
        paths: list[str] = []
        _walk(file, "", paths, set(), 0)
        return {path: _array(file[path], len(raw)) for path in wanted(paths)}


def _walk(group: Any, path: str, paths: list[str], seen: set[tuple[int, int]], depth: int) -> None:
    """Add the paths of all datasets below the group that hard links lead to, each group by its first path only."""
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


def _array(dataset: Any, size: int) -> NDArray[Any]:
    if dataset.external or dataset.is_virtual:
        raise ValueError("a dataset whose numbers lie in another file")
    shape, kind = dataset.shape, dataset.dtype
    if shape is None or kind.kind not in KINDS:
        raise ValueError("a dataset of no numbers")
    length, limit = math.prod(shape) * kind.itemsize, min(MOST_BYTES, FREE_BYTES + MOST_GROWTH * size)
    chunk = math.prod(dataset.chunks or (0,)) * kind.itemsize
    if length > limit or chunk > limit:
        raise ValueError("a dataset of far more than the file can hold")
    pay(size=2 * length + chunk, steps=100 + length // 1000)
    if chunk:
        check_chunks(dataset, chunk)
    return np.asarray(dataset[()])


def check_chunks(dataset: Any, chunk: int) -> None:
    """Raise ValueError if a chunk of the dataset does not unpack to `chunk` bytes: the library takes what comes."""
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
    if not set(filters) <= FILTERS or len(set(filters)) < len(filters):
        raise ValueError("a dataset that is packed in an unusual way")
    large: list[tuple[int, ...]] = []

    def look(stored: Any) -> None:
        pay(steps=5)
        if stored.size > SMALL_CHUNK:
            large.append(stored.chunk_offset)

    dataset.id.chunk_iter(look)
    for offset in large if DEFLATE in filters else ():
        skipped, packed = dataset.id.read_direct_chunk(offset)
        if skipped == 0 and len(zlib.decompressobj().decompress(packed, chunk + 1)) > chunk:
            raise ValueError("a chunk that unpacks to more than it holds")
