"""Names, attributes, indices and built-in conversions in the interpreter of TorchScript's texts."""

import ast
from collections.abc import Callable
from typing import Any

from torch import Tensor

from microbench.checkpoints.containers.damage import Strange
from microbench.checkpoints.containers.pickles import Stub
from microbench.checkpoints.programs.torchscript_operators import Operator

Frame = dict[str, Any]
Expression = Callable[[Frame], Any]
NUMBERS = {"inf": float("inf"), "nan": float("nan")}


def dotted(node: ast.expr) -> tuple[str, str]:
    """The first word of a chain `a.b.c`, and the whole chain; empty texts if the node is no such chain."""
    words: list[str] = []
    while isinstance(node, ast.Attribute):
        words.append(node.attr)
        node = node.value
    return (node.id, ".".join([node.id, *reversed(words)])) if words and isinstance(node, ast.Name) else ("", "")


def never(what: str) -> Expression:
    """An expression that raises Strange only when reached: torch's functions have loops in branches no policy takes."""

    def reached(frame: Frame) -> Any:
        raise Strange(what)

    return reached


def variable(name: str) -> Expression:
    """The value of a local name."""

    def find(frame: Frame) -> Any:
        if name in frame:
            return frame[name]
        if name not in NUMBERS:
            raise Strange(f"the name {name:.60}")
        return NUMBERS[name]

    return find


def stored(module: Any, name: str) -> Any:
    """A stored attribute of a module; Strange if there is no such attribute or no module."""
    if not isinstance(module, Stub) or not isinstance(module.state, dict) or name not in module.state:
        raise Strange(f"the attribute {name:.60}")
    return module.state[name]


def item(whole: Any, index: Any) -> Any:
    """The item of a list at an index; Strange for other types."""
    if not isinstance(whole, (list, tuple)) or not isinstance(index, int):
        raise Strange("an index into something that is no list")
    return whole[index]


def _number(of: Callable[[Any], Any]) -> Operator:
    """A conversion of numbers, and of tensors only if they hold one integer, because observations are floats."""

    def convert(value: Any) -> Any:
        if isinstance(value, Tensor) and (value.is_floating_point() or value.is_meta or value.numel() != 1):
            raise Strange("a decision by the numbers in a tensor")
        return of(value)

    return convert


BUILT_IN: dict[str, Operator] = {
    "int": _number(int),
    "float": _number(float),
    "bool": _number(bool),
    "getattr": stored,
}
