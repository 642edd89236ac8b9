"""Pickles read without running anything: names are looked up in a table of our own and never imported.

A pickle is a program that calls the functions it names. Here a name becomes a harmless constructor or an inert stub
that records its arguments, or it is refused. Every byte is scanned before the unpickling machine (`unpickling`) runs.
That machine allocates a stated length before it checks that the file is that long.
"""

import io
import pickle
import pickletools
import sys
from collections.abc import Callable, Mapping
from typing import Any

from microbench.checkpoints.containers import arrays
from microbench.checkpoints.containers.budget import accounted, pay
from microbench.checkpoints.containers.unpickling import OBJECT, Machine, pairs

MOST_OPCODES = 500_000
STRIDE = 256  # opcodes per payment
MOST_NAMES, MOST_NAME = 500, 300  # distinct names, and letters of each
REFUSED_OPCODES = frozenset({"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"})
MEMO_OPCODES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
BUILTIN_TYPES = ("object", "set", "frozenset", "dict", "list", "tuple", "int", "float", "bool", "str")
# Classes of the standard library in files of policies; they become stubs as well.
INERT_STANDARD = frozenset(
    {
        "argparse.Namespace",
        "collections.defaultdict",
        "collections.deque",
        "pathlib.Path",
        "pathlib.PosixPath",
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in BUILTIN_TYPES),
        *(f"{module}._reconstructor" for module in ("copyreg", "copy_reg")),
    }
)
# Functions that a file names as a setting, or for a random generator, which no policy needs; they become stubs.
INERT_FUNCTIONS = frozenset(
    {
        *(f"numpy.random._pickle.__{kind}_ctor" for kind in ("randomstate", "bit_generator", "generator")),
        "numpy.random.__RandomState_ctor",
        "torch.device",
        *(f"numpy.random.bit_generator.__pyx_unpickle_{kind}" for kind in ("SeedSequence", "SeedlessSeedSequence")),
        *(f"torch.nn.functional.{name}" for name in ("relu", "tanh", "elu", "gelu", "leaky_relu", "silu", "sigmoid")),
        "lifelong_rl.models.networks.identity",
    }
)


class Stub:
    """An inert placeholder for an object whose class is not imported; it keeps arguments, state and items."""

    origin = ""
    state: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> "Stub":
        """Make a stub that keeps the arguments."""
        stub = object.__new__(cls)
        stub.__dict__.update(args=args, items=[])
        return stub

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.__dict__["state"] = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__dict__["items"].append((key, value))

    def append(self, value: Any) -> None:
        """Keep the item, or for `extend` the items as one."""
        self.__dict__["items"].append(value)

    extend = add = append

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute of the object's state."""
        return self.state.get(name, default) if isinstance(self.state, dict) else default


class Ordered(dict[Any, Any]):
    """A dict in place of an OrderedDict; it ignores attributes, because a state dict's `_metadata` is not needed."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


class Known:
    """A harmless constructor from the table of names; frozen, because a pickle may try to change it."""

    __slots__ = ("_make",)

    _make: Callable[..., Any]

    def __init__(self, make: Callable[..., Any]) -> None:
        object.__setattr__(self, "_make", make)

    def __call__(self, *args: Any) -> Any:
        """Make the object."""
        return self._make(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a constructor")

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("it changes a constructor")


def _ordered(items: Any = ()) -> Ordered:
    return Ordered(pairs(items))


def _encode(text: Any, codec: Any = "utf-8") -> bytes:
    if not isinstance(text, str) or not isinstance(codec, str) or codec not in ("latin1", "latin-1", "utf-8"):
        raise pickle.UnpicklingError("it encodes a text in an unusual way")
    return text.encode(codec)


PLAIN: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "_codecs.encode": _encode,
    **arrays.CONSTRUCTORS,
}
"""Names with a constructor in any pickle; torch files add their own."""


def scan(content: bytes, start: int = 0) -> int:
    """The end of the pickle at `start`; every instruction is checked on the way.

    Raises:
        UnpicklingError, ValueError: an instruction is one that no policy needs or its length exceeds the file, or
            there are too many instructions.
    """
    stream = io.BytesIO(content)
    stream.seek(start)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream), 1):
        if opcode.name in REFUSED_OPCODES or count > MOST_OPCODES:
            raise pickle.UnpicklingError(f"it holds {opcode.name}, or more than {MOST_OPCODES} instructions")
        if opcode.name in MEMO_OPCODES and not 0 <= int(argument or 0) <= count:
            raise pickle.UnpicklingError("it numbers its objects beyond their count")
        if not count % STRIDE:
            pay(size=STRIDE * OBJECT, steps=STRIDE * 3)
    return stream.tell()


def read_pickle(
    content: bytes,
    names: Mapping[str, Callable[..., Any]] = PLAIN,
    persistent: Callable[[Any], Any] | None = None,
    start: int = 0,
) -> Any:
    """The object of the pickle at `start`; a name outside `names` becomes a `Stub` or is refused.

    Raises:
        ValueError and others of `damage.DAMAGE`: the pickle is damaged, or has a name that no policy needs.
    """
    with accounted(0 if start else len(content)):
        end = scan(content, start)
        return _Inert(content[start:end], names, persistent).load()


class _Inert(Machine):
    def __init__(
        self, content: bytes, names: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any] | None
    ) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._names, self._persistent = names, persistent
        self._stubs: dict[str, type[Stub]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The constructor or stub for a name; nothing is imported."""
        origin = f"{module}.{name}"
        if origin in self._names:
            return Known(self._names[origin])
        if len(origin) > MOST_NAME or not is_inert(module, name):
            raise pickle.UnpicklingError(f"it names {origin:.80}, which no policy needs")
        if origin not in self._stubs:
            if len(self._stubs) == MOST_NAMES:
                raise pickle.UnpicklingError("it names more classes than a policy needs")
            self._stubs[origin] = type("Stub", (Stub,), {"origin": origin})
        return self._stubs[origin]

    def callee(self, function: Any) -> Callable[..., Any]:
        """The function itself if it is a constructor of the table or a class of stubs; else UnpicklingError."""
        if isinstance(function, Known) or (isinstance(function, type) and issubclass(function, Stub)):
            return function
        raise pickle.UnpicklingError("it calls something that is no constructor")

    def fill(self, whole: Any, kind: type) -> Any:
        """The object itself if it is a container of this kind or a stub; else UnpicklingError."""
        if isinstance(whole, (kind, Stub)):
            return whole
        raise pickle.UnpicklingError("it fills something that is no container")

    def changeable(self, thing: Any) -> Any:
        """The object itself if it is of a class of this package; never a tensor, whose own method trusts the file."""
        if isinstance(thing, (Stub, Ordered, Known, arrays.Array, arrays.Dtype)):
            return thing
        raise pickle.UnpicklingError("it changes something that is no object")

    def persistent_load(self, pid: Any) -> Any:
        """The storage that a torch file refers to; UnpicklingError in other pickles."""
        if self._persistent is None:
            raise pickle.UnpicklingError("it refers to something outside the file")
        return self._persistent(pid)


def is_inert(module: str, name: str) -> bool:
    """Whether a name may become a stub: a class of an installed package, but no function and no system module's."""
    origin = f"{module}.{name}"
    if origin in INERT_STANDARD or origin in INERT_FUNCTIONS or (module == "__main__" and name[:1].isupper()):
        return True
    top = module.partition(".")[0]
    if top == "__torch__":  # of a TorchScript file: such names refer to source text in the same archive
        return True
    return top not in sys.stdlib_module_names and top != "__builtin__" and name.lstrip("_")[:1].isupper()
