"""Errors of reading untrusted files: one list of exception types, and the text of each."""

from reports.rows.printable import LONGEST, cut, printable

READING: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, EOFError),
    *(RecursionError, MemoryError, RuntimeError, NotImplementedError, SyntaxError),
)
"""Exceptions that parsers, converters and constructors raise on a damaged or hostile file."""


def reason(error: BaseException) -> str:
    """The message of an exception on one printable line, cut if long; its type if it has no message."""
    text = " ".join(str(error).split())
    silent = {RecursionError: "it is nested too deeply", MemoryError: "it is too large"}
    sentence = next((words for kind, words in silent.items() if isinstance(error, kind)), text)
    return cut(printable(sentence or type(error).__name__), 2 * LONGEST)
