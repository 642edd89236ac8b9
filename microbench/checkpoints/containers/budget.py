"""One account of memory and work per file: every reader pays from it before it allocates or computes.

A file of a few kilobytes can ask for gigabytes and hours in many ways: repeated references, nested archives, products,
false sizes. Each way alone may look harmless, so all of them draw on one account. The first reader of a file opens it,
and policies need a small part of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FREE_BYTES = 2**28
GROWTH = 12  # bytes allocated per byte of the file, which is read, cut, copied and converted
MOST_STEPS = 4_000_000  # steps of about a microsecond


class Exhausted(ValueError):
    """A file needs more memory or work than a policy does."""


class Account:
    """The bytes and steps that are left for reading a file."""

    __slots__ = ("_bytes", "_steps")

    def __init__(self, size: int) -> None:
        self._bytes, self._steps = FREE_BYTES, MOST_STEPS
        self.allow(size)

    def allow(self, size: int) -> None:
        """Add the allowance of another file of this size in bytes."""
        self._bytes += GROWTH * size

    def pay(self, size: int, steps: int) -> None:
        """Subtract bytes and steps; raises Exhausted if not enough are left."""
        self._bytes -= size
        self._steps -= steps
        if self._bytes < 0:
            raise Exhausted("it would fill more memory than a policy does")
        if self._steps < 0:
            raise Exhausted("it would take longer to read than a policy does")


_account: ContextVar[Account | None] = ContextVar("account", default=None)


@contextmanager
def accounted(size: int) -> Iterator[None]:
    """Open an account for a file of this size in bytes, or add its allowance to the open account."""
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
    """Pay for bytes to allocate and steps to do, from the open account; without one this does nothing.

    Raises:
        Exhausted: the account has not enough left.
    """
    opened = _account.get()
    if opened is not None:
        opened.pay(size, steps)
