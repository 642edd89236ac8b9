"""One account of memory and work per file: whatever reads a part of it pays before it makes anything.

A file of a few kilobytes can ask for gigabytes and hours in many ways: repeated references, nested archives, products,
sizes that are only claimed. Every way alone may look harmless, so all of them draw on the same account, which is
opened by whoever reads the file first. Policies need a small part of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FREE_BYTES = 2**28
GROWTH = 12  # bytes that are made for a byte of the file: it is read, cut, copied and converted
MOST_STEPS = 4_000_000  # of about a microsecond


class Exhausted(ValueError):
    """A file asks for more memory or more work than reading a policy needs."""


class Account:
    """What is left for a file."""

    __slots__ = ("_bytes", "_steps")

    def __init__(self, size: int) -> None:
        self._bytes, self._steps = FREE_BYTES, MOST_STEPS
        self.allow(size)

    def allow(self, size: int) -> None:
        """Another file of so many bytes belongs to it."""
        self._bytes += GROWTH * size

    def pay(self, size: int, steps: int) -> None:
        """Take off what will be made and done."""
        self._bytes -= size
        self._steps -= steps
        if self._bytes < 0:
            raise Exhausted("it would fill more memory than a policy does")
        if self._steps < 0:
            raise Exhausted("it would take longer to read than a policy does")


_account: ContextVar[Account | None] = ContextVar("account", default=None)


@contextmanager
def accounted(size: int) -> Iterator[None]:
    """An account for a file of so many bytes, or as much more on the one that is open."""
    opened = _account.get()
    if opened is not None:
        opened.allow(size)
        yield
        return
    token = _account.set(Account(size))
    try:
        yield
    finally:
        _account.reset(token)


def pay(size: int = 0, steps: int = 0) -> None:
    """Pay for bytes that will be made and steps that will be done; nothing where no file is being read.

    Raises:
        Exhausted: there is not so much left.
    """
    opened = _account.get()
    if opened is not None:
        opened.pay(size, steps)
