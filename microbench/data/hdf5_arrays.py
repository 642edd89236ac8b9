"""Arrays that lie in an hdf5 file itself; their sizes are checked before any of them is read.

An untrusted file may lead to any file of the reader's, by a link, external storage or a virtual view. It may also be
small while its content is not: a chunk of a few kilobytes can unpack to gigabytes. Views of the file's own arrays are
read, because `microbench collect` stores every state once and shows it twice.
"""

import math
import zlib
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

FREE_BYTES, MOST_GROWTH = 2**27, 10
"""Bytes that arrays may take whatever the file's size, and how many times that size they may take beyond them."""
MOST_CHUNKS = 2**17
MOST_VIEWS = 2**14  # parts of a view; the library needs about 20 kB for each of them
MOST_SOURCES = 16
MOST_UNPACKED = 2**33  # bytes that reading a view may unpack, some of them many times
CAREFUL_FROM = 2**18  # bytes of a stored chunk, from which it is unpacked step by step before the library may
COMPRESSORS = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SZIP, 32000})  # 32000: lzf
FILTERS = COMPRESSORS | {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_SCALEOFFSET}
NUMBERS = frozenset("fiub")
DAMAGE = (OSError, RuntimeError, LookupError, TypeError, ValueError, MemoryError, ArithmeticError, AttributeError)
"""Exceptions that h5py raises for a damaged or hostile file, depending on where the damage is."""


class Refused(ValueError):
    """An array is not read; the message is a phrase that says why, as 'a link to somewhere else'."""


@dataclass
class Allowance:
    """Bytes that may still be read from a file."""

    left: int

    @classmethod
    def of(cls, file_bytes: int, *, free: int = FREE_BYTES, growth: int = MOST_GROWTH) -> "Allowance":
        """The allowance of a file of that size, in bytes."""
        return cls(left=free + growth * file_bytes)

    def take(self, size: int) -> None:
        """Subtract an array's bytes; raises Refused when more are read than a file of this size may hold."""
        self.left -= size
        if self.left < 0:
            raise Refused("far larger than the file can honestly hold")


def find(file: h5py.Group, path: str) -> h5py.Dataset | None:
    """The dataset at `path`, reached by hard links alone; None where there is nothing.

    Raises:
        Refused: the path passes a link that may lead out of the file, is a view of another file, or is no dataset.
    """
    group: Any = file
    *folders, name = [part for part in path.split("/") if part not in ("", ".")] or [""]
    for part in (*folders, name):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) and part else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise Refused("a link that may lead out of the file")
        group = group[part]
    if not isinstance(group, h5py.Dataset):
        raise Refused("not an array of numbers")
    if group.is_virtual:
        _check_names(group)  # before its shape is asked for, which may depend on its sources
    return group


def check(dataset: h5py.Dataset, allowance: Allowance, *, kinds: frozenset[str] = NUMBERS, views: bool = True) -> None:
    """Raise Refused unless all of the dataset lies in its file and is no larger than the file can hold.

    `kinds` are the dtype kinds that may be read; `views` allows virtual views of the same file.
    """
    if dataset.dtype.kind not in kinds or dataset.shape is None:
        raise Refused("not an array of numbers")
    allowance.take(_bytes(dataset, dataset.shape))
    if not dataset.is_virtual:
        _check_stored(dataset)
    elif views:
        _check_view(dataset, allowance)
    else:
        raise Refused("a view of other arrays")


def read(dataset: h5py.Dataset) -> NDArray[Any]:
    """The numbers of a dataset that `check` has accepted."""
    return np.asarray(dataset[()])


def _check_stored(dataset: h5py.Dataset) -> None:
    if dataset.external:
        raise Refused("stored in another file")
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if len(set(filters)) < len(filters) or not FILTERS.issuperset(filters) or len(COMPRESSORS & set(filters)) > 1:
        raise Refused("packed in an unusual way")
    if dataset.chunks is None:
        return
    size = _bytes(dataset, dataset.chunks)
    if size > FREE_BYTES + _bytes(dataset, dataset.shape):
        raise Refused("cut into chunks that are larger than the array")
    grid = (-(-int(length) // int(chunk)) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    if math.prod(grid) > MOST_CHUNKS or dataset.id.get_num_chunks() > MOST_CHUNKS:
        raise Refused("cut into too many chunks")
    if filters:
        _check_chunks(dataset, size, deflated=h5py.h5z.FILTER_DEFLATE in filters)


def _bytes(dataset: h5py.Dataset, shape: tuple[int, ...]) -> int:
    """Bytes of an array of this shape and the dataset's dtype, in whole numbers that do not overflow."""
    return math.prod(map(int, shape)) * int(dataset.dtype.itemsize)


def _check_chunks(dataset: h5py.Dataset, size: int, *, deflated: bool) -> None:
    """Raise Refused if a stored chunk is larger than its content, or unpacks to more than the chunk's size."""
    stored: list[Any] = []
    dataset.id.chunk_iter(stored.append)
    for chunk in stored:
        if chunk.size > 2 * size + 2**16:
            raise Refused("stored in more bytes than it has")
        if deflated and chunk.size > CAREFUL_FROM and not chunk.filter_mask:
            packed = dataset.id.read_direct_chunk(chunk.chunk_offset)[1]
            spare = 64  # of a checksum
            if len(zlib.decompressobj().decompress(packed, size + spare + 1)) > size + spare:
                raise Refused("made of chunks that unpack to more than they should")


def _check_view(dataset: h5py.Dataset, allowance: Allowance) -> None:
    """Raise Refused unless every source of a virtual dataset is a plain array of the same file."""
    plan = dataset.id.get_create_plist()
    count = plan.get_virtual_count()
    for name in {plan.get_virtual_dsetname(number) for number in range(count)}:
        source = find(dataset.file, name)
        if source is None:
            raise Refused("a view of an array that is not there")
        check(source, allowance, views=False)
        if source.chunks is not None and count * _bytes(source, source.chunks) > MOST_UNPACKED:
            raise Refused("a view that would unpack the same chunks too often")


def _check_names(dataset: h5py.Dataset) -> None:
    """Raise Refused unless the sources of a virtual dataset are named, few, and of the same file."""
    plan = dataset.id.get_create_plist()
    count = plan.get_virtual_count()
    if count > MOST_VIEWS:
        raise Refused("a view of too many parts")
    if any(plan.get_virtual_filename(number) != "." for number in range(count)):
        raise Refused("a view of another file")
    names = {plan.get_virtual_dsetname(number) for number in range(count)}
    if len(names) > MOST_SOURCES or any("%" in name for name in names):
        raise Refused("a view of too many arrays")
