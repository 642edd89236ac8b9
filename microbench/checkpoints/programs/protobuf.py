"""Protocol buffers, as far as policies need them: messages as dicts of lists, by a table of the wanted fields.

The format is https://protobuf.dev/programming-guides/encoding: fields with a number, a wire type and a value. Fields
outside the table are skipped, and all fields are counted, so that a file cannot grow in memory. The protobuf library
needs a hundred times the size of a file of empty messages.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_FIELDS = 100_000  # in one file
MOST_INTEGERS = 2**19  # in packed fields
VARINT, LENGTH = 0, 2
FIXED = {1: 8, 5: 4}  # wire type → bytes
FLOATS: Mapping[str, Any] = {"float": "<f4", "double": "<f8"}
Table = Mapping[int, tuple[str, Any]]  # number → name, and int, float, double, bytes, text or the table of a message


class MessageReader:
    """Reads the messages of one file and counts their fields."""

    def __init__(self) -> None:
        self._count = self._integers = 0

    def message(self, content: memoryview, table: Table) -> dict[str, list[Any]]:
        """The wanted fields by name, each with all its values in order; floats are arrays of one or more numbers.

        Raises:
            ValueError: the message ends too early, has wrong wire types, or has more fields than a policy.
        """
        fields: dict[str, list[Any]] = {name: [] for name, _ in table.values()}
        for number, wire, value in self._fields(content):
            if number in table:
                name, kind = table[number]
                fields[name] += self._values(wire, value, kind)
        return fields

    def _fields(self, content: memoryview) -> Iterator[tuple[int, int, Any]]:
        place = 0
        while place < len(content):
            self._count += 1
            if self._count > MOST_FIELDS:
                raise ValueError("more fields than a policy has")
            tag, place = varint(content, place)
            wire, size = tag & 7, FIXED.get(tag & 7, 0)
            if wire not in (VARINT, LENGTH, *FIXED):
                raise ValueError("a field of an unknown kind")
            if wire in (VARINT, LENGTH):
                size, place = varint(content, place)
            if wire == VARINT:
                yield tag >> 3, wire, size
                continue
            if place + size > len(content):
                raise ValueError("a field that ends too early")
            yield tag >> 3, wire, content[place : place + size]
            place += size

    def _values(self, wire: int, value: Any, kind: Any) -> list[Any]:
        if isinstance(kind, Mapping) and wire == LENGTH:
            return [self.message(value, kind)]
        if kind == "int" and wire in (VARINT, LENGTH):
            return [signed(value)] if wire == VARINT else self._packed(value)
        if kind in ("float", "double") and wire != VARINT:
            numbers: NDArray[Any] = np.frombuffer(value, FLOATS[kind])
            return [numbers]
        if wire != LENGTH:
            raise ValueError("a field of another kind than it should be")
        return [value if kind == "bytes" else bytes(value).decode("utf-8", "replace")]

    def _packed(self, content: memoryview) -> list[int]:
        numbers: list[int] = []
        place = 0
        while place < len(content):
            number, place = varint(content, place)
            numbers.append(signed(number))
            self._integers += 1
            if self._integers > MOST_INTEGERS:
                raise ValueError("more integers than a policy has")
        return numbers


def varint(content: memoryview, place: int) -> tuple[int, int]:
    """The number at a place, seven bits a byte, and the place after it; ValueError if it is longer than 64 bits."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            break
        byte = content[place]
        number, place = number | (byte & 127) << shift, place + 1
        if byte < 128:
            return number & (2**64 - 1), place
    raise ValueError("a number that does not end")


def signed(number: int) -> int:
    """The signed value of an unsigned number of 64 bits."""
    return number - 2**64 if number >= 2**63 else number
