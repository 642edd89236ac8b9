"""Numpy's arrays and scalars in a pickle, rebuilt from checked bytes, because numpy's own constructors trust a file."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench.checkpoints.containers.budget import pay

MOST_DIMENSIONS = 8
MOST_CODE = 20  # letters of a number type's name
MOST_LISTED = 100_000  # numbers in lists
KINDS = frozenset("fiub")  # floats, integers, Booleans; no objects, no records


class Dtype:
    """A number type by its short name ('f8'); the byte order follows with the pickled state."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(text, str) or len(text) > MOST_CODE:
            raise ValueError("an array of an unknown type")
        self.code, self.order = text, "="

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        """The numpy type; ValueError unless it is a type of numbers."""
        code = self.code.lstrip("<>|=")
        if len(code) > 3 or code[:1] not in KINDS | {"O"}:
            raise ValueError(f"an array of {self.code!r:.20} where numbers are expected")
        return np.dtype(self.order.replace("|", "=") + code)


class Array:
    """An array whose values follow later: numpy pickles shape, type and bytes after the object itself."""

    __slots__ = ("values",)

    def __init__(self, *_: Any) -> None:
        self.values: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        kind = _type(dtype)
        if kind.kind == "O":  # a list of objects (spaces of environments hold such); nothing reads them
            return
        self.values = from_bytes(content, kind, shape, fortran=bool(fortran))


def _type(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, Dtype):
        raise ValueError("an array without a type")
    return dtype.numpy()


def from_bytes(content: Any, kind: np.dtype[Any], shape: Any, *, fortran: bool = False) -> NDArray[Any]:
    """An array (shape) of exactly these bytes, in this machine's byte order; ValueError if they do not fit."""
    content = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(content, (bytes, bytearray)):
        raise ValueError("an array without bytes")
    if not isinstance(shape, (tuple, list)) or len(shape) > MOST_DIMENSIONS:
        raise ValueError("an array of an impossible shape")
    if not all(isinstance(size, int) and 0 <= size <= len(content) for size in shape):
        raise ValueError("an array of an impossible shape")
    pay(size=2 * len(content))
    sizes = tuple(shape)
    if kind.kind not in KINDS or math.prod(sizes) * kind.itemsize != len(content):
        raise ValueError("an array whose bytes do not fit its shape")
    values = np.frombuffer(content, kind).reshape(sizes, order="F" if fortran else "C")
    return np.ascontiguousarray(values, kind.newbyteorder("=")).reshape(sizes)


def numbers(value: Any) -> NDArray[np.float64]:
    """The numbers of an `Array`, a scalar or a list, as float64.

    Raises:
        ValueError: the value holds no numbers, or one of them is not finite.
    """
    stored: Any = value.values if isinstance(value, Array) else value
    if not isinstance(stored, (np.ndarray, np.generic)):
        _check_listed(stored)
    pay(size=8 * np.size(stored))
    values = np.array(stored, np.float64)  # a copy: torch wants to be allowed to write
    if not np.isfinite(values).all():
        raise ValueError("an array that is not finite")
    return values


def _check_listed(value: Any, depth: int = 2) -> None:
    """Raise ValueError unless the value is a number or a list of at most `depth` levels: lists may hold one another."""
    if isinstance(value, (list, tuple)) and depth:
        pay(size=32 * len(value), steps=len(value))
        if len(value) > MOST_LISTED:
            raise ValueError("a list of more numbers than a policy has")
        for part in value:
            _check_listed(part, depth - 1)
    elif not isinstance(value, (int, float, np.generic)):
        raise ValueError("no numbers where an array is expected")


def _array(*_: Any) -> Array:
    return Array()


def _scalar(dtype: Any, content: Any = b"") -> Any:
    kind = _type(dtype)
    return None if kind.kind == "O" else from_bytes(content, kind, ())[()]


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
    array = Array()
    array.values = from_bytes(content, _type(dtype), shape, fortran=isinstance(order, str) and order == "F")
    return array


def _nothing(*_: Any) -> None:
    """Return None: `numpy.ndarray` is only an argument of `_reconstruct`, which ignores it."""


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
