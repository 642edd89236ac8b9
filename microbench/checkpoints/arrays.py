"""Numpy's arrays and scalars out of a pickle, rebuilt from bytes: numpy's own constructors trust what they are told."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_DIMENSIONS = 8
KINDS = frozenset("fiub")  # floats, integers, Booleans; no objects, no records


class Dtype:
    """A number type by its short name ('f8'); the byte order comes with the state."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = str(code.decode("ascii") if isinstance(code, bytes) else code), "="

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        """The type; ValueError unless it is one of numbers."""
        code = self.code.lstrip("<>|=")
        if len(code) > 3 or code[:1] not in KINDS | {"O"}:
            raise ValueError(f"an array of {self.code!r:.20} where numbers are expected")
        return np.dtype(self.order.replace("|", "=") + code)


class Array:
    """An array in the making: numpy gives shape, type and bytes after the object itself."""

    __slots__ = ("values",)

    def __init__(self, *_: Any) -> None:
        self.values: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        kind = dtype.numpy()
        if kind.kind == "O":  # a list of objects (spaces of environments hold such); nothing reads them
            return
        content = content.encode("latin1") if isinstance(content, str) else content
        self.values = from_bytes(content, kind, shape, fortran=bool(fortran))


def from_bytes(content: bytes, kind: np.dtype[Any], shape: Any, *, fortran: bool = False) -> NDArray[Any]:
    """An array (shape) of exactly these bytes, in this machine's byte order; ValueError if they do not fit."""
    sizes = tuple(int(size) for size in shape)
    if len(sizes) > MOST_DIMENSIONS or any(size < 0 for size in sizes):
        raise ValueError("an array of an impossible shape")
    if kind.kind not in KINDS or math.prod(sizes) * kind.itemsize != len(content):
        raise ValueError("an array whose bytes do not fit its shape")
    values = np.frombuffer(content, kind).reshape(sizes, order="F" if fortran else "C")
    return np.ascontiguousarray(values, kind.newbyteorder("=")).reshape(sizes)


def numbers(value: Any) -> NDArray[np.float64]:
    """The numbers behind an `Array`, a scalar or a list, as float64.

    Raises:
        ValueError: there are none, or one is not finite.
    """
    found = value.values if isinstance(value, Array) else value
    if found is None or isinstance(found, (str, bytes)):
        raise ValueError("no numbers where an array is expected")
    values = np.array(found, np.float64)  # a copy: torch wants to be allowed to write
    if not np.isfinite(values).all():
        raise ValueError("an array that is not finite")
    return values


def _array(*_: Any) -> Array:
    return Array()


def _scalar(dtype: Dtype, content: Any = b"") -> Any:
    if dtype.numpy().kind == "O":
        return None
    content = content.encode("latin1") if isinstance(content, str) else content
    return from_bytes(content, dtype.numpy(), ())[()]


def _from_buffer(content: Any, dtype: Dtype, shape: Any, order: Any = "C") -> Array:
    made = Array()
    made.values = from_bytes(bytes(content), dtype.numpy(), shape, fortran=order == "F")
    return made


def _nothing(*_: Any) -> None:
    """`numpy.ndarray` is only ever an argument of `_reconstruct`."""


CONSTRUCTORS: Mapping[str, Callable[..., Any]] = {
    "numpy.dtype": Dtype,
    "numpy.ndarray": _nothing,
    **{
        f"numpy.{core}.{name}": make
        for core in ("core", "_core")
        for name, make in (
            ("multiarray._reconstruct", _array),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
}
