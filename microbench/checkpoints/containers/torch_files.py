"""Files of `torch.save`, zip files and their predecessors, read with the inert unpickler.

Nothing of torch reads the file. Names come from a table, tensors are cut out of existing bytes, and a tensor never has
more elements than its storage.
"""

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from microbench.checkpoints.containers.archives import Archive
from microbench.checkpoints.containers.arrays import MOST_DIMENSIONS
from microbench.checkpoints.containers.budget import pay
from microbench.checkpoints.containers.pickles import PLAIN, Known, read_pickle, scan

OVERHEAD = 4096  # bytes charged per tensor, which limits their number
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file of torch < 1.6
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
STORAGES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")


class Storage:
    """The flat numbers that one or several tensors share."""

    __slots__ = ("values",)

    def __init__(self, values: Tensor) -> None:
        self.values = values


def read_zip(archive: Archive, member: str = "data", names: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """The object of a torch zip file, from its pickle `member`; `names` extends the table `TORCH`.

    Raises:
        ValueError and others of `damage.DAMAGE`: the file is damaged, of another byte order, or not of `torch.save`.
    """
    root = archive.root
    if f"{root}byteorder" in archive and archive.read(f"{root}byteorder").strip() != b"little":
        raise ValueError("a file of a machine with another byte order")
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage:
        dtype, key, count = _described(pid)
        if key not in storages:
            storages[key] = Storage(_flat(archive.read(f"{root}{member}/{key}"), dtype, count))
        return storages[key]

    return read_pickle(archive.read(f"{root}{member}.pkl"), {**TORCH, **(names or {})}, persistent)


def read_legacy(content: bytes) -> Any:
    """The object of a file of torch < 1.6: pickles of magic, version and machine, the object, its storages' keys.

    Raises:
        ValueError and others of `damage.DAMAGE`: the file is damaged or of another byte order.
    """
    starts = [0]
    for _ in range(5):
        starts.append(scan(content, starts[-1]))
    magic, _, machine = (read_pickle(content, start=start) for start in starts[:3])
    if magic != LEGACY_MAGIC or not machine.get("little_endian"):
        raise ValueError("a file of a machine with another byte order")
    kinds: dict[str, torch.dtype] = {}
    read_pickle(content, TORCH, lambda pid: _empty_storage(pid, kinds), starts[3])
    storages, place = {}, starts[5]
    for key in read_pickle(content, start=starts[4]):
        (count,) = struct.unpack_from("<q", content, place)
        if not isinstance(key, str) or count < 0:
            raise ValueError("a storage without a name or a size")
        size = count * kinds[key].itemsize
        if place + 8 + size > len(content):
            raise ValueError("a storage longer than the file")
        storages[key] = Storage(_flat(memoryview(content)[place + 8 : place + 8 + size], kinds[key], count))
        place += 8 + size
    return read_pickle(content, TORCH, lambda pid: storages[_described(pid)[1]], starts[3])


def _described(pid: Any) -> tuple[torch.dtype, str, int]:
    """Number type, key and length of a storage; ValueError if the reference is to anything else."""
    if not isinstance(pid, tuple) or len(pid) < 5 or not all(isinstance(pid[place], str) for place in (0, 2)):
        raise ValueError("something that is no storage where a tensor's numbers are expected")
    kind, dtype, key, _, count = pid[:5]
    if kind != "storage" or not isinstance(dtype, Known) or not isinstance(stored := dtype(), torch.dtype):
        raise ValueError("a storage of something else than numbers")
    if type(count) is not int or count < 0:
        raise ValueError("a storage without a size")
    return stored, key, count


def _empty_storage(pid: Any, kinds: dict[str, torch.dtype]) -> Storage:
    """An empty storage for the first reading of a legacy file, which only collects the storages' number types."""
    dtype, key, _ = _described(pid)
    if len(pid) > 5 and pid[5] is not None:
        raise ValueError("a view of a storage, which no policy needs")
    kinds[key] = dtype
    return Storage(torch.empty(0, dtype=torch.float32))


def _flat(content: bytes | memoryview, dtype: torch.dtype, count: int) -> Tensor:
    size = count * dtype.itemsize
    if size > len(content):
        raise ValueError("a storage shorter than it says")
    if count == 0:
        return torch.empty(0, dtype=dtype)
    pay(size=size)
    return torch.frombuffer(bytearray(memoryview(content)[:size]), dtype=dtype)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A tensor copied from a part of a storage; empty for a storage that is not read yet (legacy, first pass)."""
    if not isinstance(storage, Storage) or not isinstance(size, (tuple, list)) or not isinstance(stride, (tuple, list)):
        raise ValueError("a tensor without a storage")
    if len(size) != len(stride) or len(size) > MOST_DIMENSIONS:
        raise ValueError("a tensor of an impossible shape")
    sizes, strides = tuple(size), tuple(stride)
    if not all(type(number) is int and number >= 0 for number in (offset, *sizes, *strides)):
        raise ValueError("a tensor of an impossible shape")
    values = storage.values
    if len(values) == 0:
        return values
    last = offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    if math.prod(sizes) > len(values) or (math.prod(sizes) and last >= len(values)):
        raise ValueError("a tensor larger than its storage")
    pay(size=OVERHEAD + math.prod(sizes) * max(8, 2 * values.element_size()), steps=200)  # as float32 once more
    return values.as_strided(sizes, strides, offset).clone()


def _parameter(values: Tensor, *_: Any) -> Tensor:
    return values


def _size(sizes: Any = ()) -> tuple[int, ...]:
    if not isinstance(sizes, (tuple, list)) or len(sizes) > MOST_DIMENSIONS:
        raise ValueError("a size of too many dimensions")
    return tuple(sizes)


def _give(value: Any) -> Callable[..., Any]:
    return lambda *_: value


TORCH: Mapping[str, Callable[..., Any]] = {
    **PLAIN,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
    **{f"torch.{name}Storage": _give(dtype) for name, dtype in STORAGES.items()},
    **{f"torch.{name}": _give(None) for name in (*DTYPES, "device")},
}
"""Names in a torch file; a storage's class returns its number type when called."""
