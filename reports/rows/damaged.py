"""What reading a file that nobody vouches for may raise: the one list, and how each becomes a sentence."""

from reports.rows.printable import LONGEST, cut, printable

READING: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, EOFError),
    *(RecursionError, MemoryError, RuntimeError, NotImplementedError, SyntaxError),
)
"""Exceptions of parsers, converters and constructors that are given a damaged or hostile file."""


def reason(error: BaseException) -> str:
    """What an exception says, on one line, printable and not longer than anybody reads; its kind where it is silent."""
    text = " ".join(str(error).split())
    silent = {RecursionError: "it is nested too deeply", MemoryError: "it is too large"}
    sentence = next((words for kind, words in silent.items() if isinstance(error, kind)), text)
    return cut(printable(sentence or type(error).__name__), 2 * LONGEST)
