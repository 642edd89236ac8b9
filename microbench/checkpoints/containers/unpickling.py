"""The unpickling machine of the standard library in Python, with checks before every costly or unsafe step.

Only objects of this package are called, filled or changed. Keys must hash quickly and not collide. Every object is
paid for (`budget`).
"""

import pickle
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from microbench.checkpoints.containers.budget import pay

MOST_KEY = 2**61 - 1  # larger integers share their hash with smaller ones
MOST_PARTS_OF_KEY = 16
OBJECT, REFERENCE = 100, 8  # bytes of an object and of its place in another one


def hashed(key: Any) -> Any:
    """The key of a dict, or the member of a set, after a check of its type.

    Raises:
        UnpicklingError: the key's hash could take long, collide with others, or end the process.
    """
    if isinstance(key, int) and not -MOST_KEY < key < MOST_KEY:
        raise pickle.UnpicklingError("a key of more than 61 bits")
    if isinstance(key, tuple):
        if len(key) > MOST_PARTS_OF_KEY or any(isinstance(part, (tuple, frozenset)) for part in key):
            raise pickle.UnpicklingError("a nested key")
        pay(size=OBJECT, steps=200)  # tuples can be made to collide
        for part in key:
            hashed(part)
    if isinstance(key, frozenset):
        raise pickle.UnpicklingError("a set as a key")
    return key


def pairs(of: Any) -> Iterable[tuple[Any, Any]]:
    """The items of a dict or of a list of pairs, with checked keys."""
    for item in of.items() if isinstance(of, dict) else _listed(of):
        key, value = _listed(item)
        yield hashed(key), value


def _listed(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise pickle.UnpicklingError("no list where one is expected")
    pay(size=2 * REFERENCE * len(value), steps=len(value))
    return value


def weight(value: Any) -> int:
    """The approximate bytes that a constructor copies of its arguments, which may be a tuple of several."""
    if not isinstance(value, tuple):
        return _length(value)
    pay(steps=10 + len(value))
    return sum(map(_length, value))


def _length(value: Any) -> int:
    if isinstance(value, (str, bytes, bytearray)):
        return len(value)
    return REFERENCE * len(value) if isinstance(value, (list, tuple, set, frozenset, dict)) else 0


class Machine(pickle._Unpickler):  # the Python version, because its steps can be replaced
    """An unpickler whose subclass decides which objects may be called, filled or changed."""

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def callee(self, function: Any) -> Callable[..., Any]:
        """The function itself if it may be called."""
        raise NotImplementedError

    def fill(self, whole: Any, kind: type) -> Any:
        """The object itself if items of this kind may be put into it."""
        raise NotImplementedError

    def changeable(self, thing: Any) -> Any:
        """The object itself if its state may be set."""
        raise NotImplementedError

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("it calls something without arguments")
        copied = weight(arguments)
        pay(size=5 * OBJECT + 2 * copied, steps=copied // 64)
        self.append(self.callee(function)(*arguments))

    def load_reduce(self) -> None:
        """Call the function on the stack if `callee` allows it."""
        arguments = self.stack.pop()
        self._call(self.stack.pop(), arguments)

    def load_newobj_ex(self) -> None:
        """Call as `load_reduce` does, without the keywords, which nothing here needs."""
        self.stack.pop()
        self.load_reduce()

    def _instantiate(self, function: Any, arguments: Any) -> None:
        self._call(function, tuple(arguments))

    def load_build(self) -> None:
        """Set the state of an object if `changeable` allows it."""
        state = self.stack.pop()
        copied = weight(state)
        pay(size=OBJECT + 2 * copied, steps=10 + copied // 64)
        self.changeable(self.stack[-1]).__setstate__(state)

    def load_append(self) -> None:
        """Append one item to a list."""
        value = self.stack.pop()
        self.fill(self.stack[-1], list).append(value)

    def load_appends(self) -> None:
        """Append several items to a list."""
        values = self.pop_mark()
        whole = self.fill(self.stack[-1], list)
        for value in values:
            whole.append(value)

    def load_setitem(self) -> None:
        """Add one entry to a dict."""
        value, key = self.stack.pop(), self.stack.pop()
        self.fill(self.stack[-1], dict)[hashed(key)] = value

    def load_setitems(self) -> None:
        """Add several entries to a dict."""
        items = self.pop_mark()
        whole = self.fill(self.stack[-1], dict)
        for place in range(0, len(items), 2):
            whole[hashed(items[place])] = items[place + 1]

    def load_dict(self) -> None:
        """Make a dict of the items on the stack."""
        items = self.pop_mark()
        self.append({hashed(items[place]): items[place + 1] for place in range(0, len(items), 2)})

    def load_additems(self) -> None:
        """Add members to a set."""
        values = self.pop_mark()
        whole = self.fill(self.stack[-1], set)
        for value in values:
            whole.add(hashed(value))

    def load_frozenset(self) -> None:
        """Make a frozenset of the items on the stack."""
        self.append(frozenset(hashed(value) for value in self.pop_mark()))

    dispatch |= {
        getattr(pickle, name)[0]: step
        for name, step in (
            ("REDUCE", load_reduce),
            ("NEWOBJ", load_reduce),
            ("NEWOBJ_EX", load_newobj_ex),
            ("BUILD", load_build),
            ("APPEND", load_append),
            ("APPENDS", load_appends),
            ("SETITEM", load_setitem),
            ("SETITEMS", load_setitems),
            ("DICT", load_dict),
            ("ADDITEMS", load_additems),
            ("FROZENSET", load_frozenset),
        )
    }
