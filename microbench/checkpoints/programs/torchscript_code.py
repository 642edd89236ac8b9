"""An interpreter of TorchScript's source texts: a few kinds of statements, whitelisted operators, and nothing else.

`torch.jit.save` writes text of a small language with Python's grammar. The text is parsed but never compiled by Python
or torch: every expression becomes a closure of ours that looks names up in our tables. There are no loops, and no
branch may depend on the numbers in a tensor, so that all observations take the same path.
"""

import ast
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from microbench.checkpoints.containers.budget import pay
from microbench.checkpoints.containers.damage import Strange
from microbench.checkpoints.containers.pickles import Stub
from microbench.checkpoints.programs.program import Settle, called
from microbench.checkpoints.programs.torchscript_names import (
    BUILT_IN,
    Expression,
    Frame,
    dotted,
    item,
    never,
    stored,
    variable,
)
from microbench.checkpoints.programs.torchscript_operators import ELEMENTWISE, OPERATORS, Operator
from microbench.checkpoints.programs.torchscript_text import Texts

MOST_DEPTH, MOST_STATEMENTS, MOST_NESTED = 60, 4000, 6
GOES_ON = object()  # the value of a statement that does not return


class Machine:
    """The program of one file: its texts, their constants (CONSTANTS.c0, …), and its stored tensors."""

    def __init__(self, texts: Texts, constants: Sequence[Any], stored: Sequence[Tensor]) -> None:
        self._texts, self._constants = texts, constants
        self._stored = {tensor.untyped_storage().data_ptr() for tensor in stored}
        self._functions: dict[str, Operator] = {}
        self._settle: Settle | None = None
        self._depth = self._count = 0

    def run(self, module: Stub, obs: Tensor, settle: Settle | None) -> Any:
        """The result of `module.forward(obs)`; the program may write into its own copy of obs."""
        self._settle, self._depth, self._count = settle, 0, 0
        return self._function(f"{module.origin}.forward")(module, obs.clone())

    def _function(self, name: str) -> Operator:
        if name not in self._functions:
            self._functions[name] = self._compiled(self._texts.function(name))
        return self._functions[name]

    def _compiled(self, node: ast.FunctionDef) -> Operator:
        names = [argument.arg for argument in node.args.args]
        values = [_default(value) for value in node.args.defaults]
        defaults = dict(zip(names[len(names) - len(values) :], values, strict=True))
        body, parts = self._block(node.body), list(ast.walk(node))
        size = sum(isinstance(part, ast.stmt) for part in parts)

        def call(*arguments: Any, **named: Any) -> Any:
            self._depth, self._count = self._depth + 1, self._count + size
            if self._depth > MOST_DEPTH or self._count > MOST_STATEMENTS:
                raise ValueError("a program that runs for longer than a policy")
            pay(steps=len(parts))
            frame = defaults | dict(zip(names, arguments, strict=False)) | named
            if len(arguments) > len(names) or len(frame) != len(names):
                raise TypeError(f"a call of {node.name:.40} with {len(arguments)} of {len(names)} arguments")
            value = body(frame)
            self._depth -= 1
            return None if value is GOES_ON else value

        return call

    # ---- statements

    def _block(self, statements: Sequence[ast.stmt]) -> Expression:
        steps = [self._statement(statement) for statement in statements]

        def run(frame: Frame) -> Any:
            for step in steps:
                value = step(frame)
                if value is not GOES_ON:
                    return value
            return GOES_ON

        return run

    def _statement(self, node: ast.stmt) -> Expression:
        if isinstance(node, ast.Return):
            return self._expression(node.value or ast.Constant(None))
        if isinstance(node, ast.Expr):
            done = self._expression(node.value)
            return lambda frame: (done(frame), GOES_ON)[1]
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return self._assignment(node.targets[0], self._expression(node.value))
        if isinstance(node, ast.If):
            return self._decision(node)
        if isinstance(node, ast.Pass):
            return lambda frame: GOES_ON
        return never(f"the statement {type(node).__name__.lower()}")

    def _assignment(self, target: ast.expr, value: Expression) -> Expression:
        targets = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
        names = [part.id for part in targets if isinstance(part, ast.Name)]
        if len(names) != len(targets):
            return never("an assignment to something other than names")

        def assign(frame: Frame) -> Any:
            result = value(frame)
            if target is not targets[0] and not isinstance(result, (list, tuple)):
                raise Strange("an assignment of something that is no list to several names")
            frame.update(zip(names, [result] if target is targets[0] else result, strict=True))
            return GOES_ON

        return assign

    def _decision(self, node: ast.If) -> Expression:
        asked, then, otherwise = self._expression(node.test), self._block(node.body), self._block(node.orelse)

        def decide(frame: Frame) -> Any:
            answer = asked(frame)
            if isinstance(answer, Tensor):
                raise Strange("a decision by the numbers in a tensor")
            return then(frame) if answer else otherwise(frame)

        return decide

    # ---- expressions

    def _expression(self, node: ast.expr) -> Expression:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, type(None))):
            value = node.value
            return lambda frame: value
        if isinstance(node, ast.Name):
            return variable(node.id)
        if isinstance(node, (ast.List, ast.Tuple)):
            parts = [self._expression(part) for part in node.elts]
            return lambda frame: [part(frame) for part in parts]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            positive = self._expression(node.operand)
            return lambda frame: -positive(frame)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
            whole, index = self._expression(node.value), self._expression(node.slice)
            return lambda frame: item(whole(frame), index(frame))
        if isinstance(node, ast.Call):
            return self._call(node)
        return never(f"the construct {type(node).__name__.lower()}")

    def _attribute(self, node: ast.Attribute) -> Expression:
        root, path = dotted(node)
        if root == "CONSTANTS":
            constant = self._constants[int(node.attr.removeprefix("c"))]
            return lambda frame: self._settled(constant, stored=True)
        if root == "__torch__":
            return lambda frame: self._function(path)
        whole, name = self._expression(node.value), node.attr
        return lambda frame: self._settled(stored(whole(frame), name), stored=True)

    def _call(self, node: ast.Call) -> Expression:
        if isinstance(node.func, ast.Name) and node.func.id in ("annotate", "unchecked_cast", "uninitialized"):
            return self._expression(node.args[-1] if len(node.args) > 1 else ast.Constant(None))  # the first is a type
        function = self._callee(node.func)
        arguments = [self._expression(part) for part in node.args]
        named = {part.arg: self._expression(part.value) for part in node.keywords if part.arg}
        if len(named) != len(node.keywords):
            return never("a call with unpacked arguments")
        if not named:
            return lambda frame: function(frame)(*[part(frame) for part in arguments])
        return lambda frame: function(frame)(
            *[part(frame) for part in arguments], **{name: part(frame) for name, part in named.items()}
        )

    def _callee(self, node: ast.expr) -> Expression:
        """The function of a call: an operator, a function of the texts, a method, or one of four built-in names."""
        root, path = dotted(node)
        if root in ("torch", "ops"):
            operator = self._operator(path.rpartition(".")[2])
            return lambda frame: operator
        if root == "__torch__":
            return lambda frame: self._function(path)
        if isinstance(node, ast.Attribute):
            whole, name = self._expression(node.value), node.attr
            return lambda frame: self._method(whole(frame), name)
        if isinstance(node, ast.Name) and node.id in BUILT_IN:
            built_in = BUILT_IN[node.id]
            return lambda frame: lambda *arguments: self._settled(built_in(*arguments))
        return self._expression(node)

    def _method(self, module: Any, name: str) -> Operator:
        if not isinstance(module, Stub):
            raise Strange(f"the method {name:.40} of something that is no module")
        function = self._function(f"{module.origin}.{name}")
        return lambda *arguments, **named: function(module, *arguments, **named)

    def _operator(self, name: str) -> Operator:
        plain = OPERATORS.get(name) or ELEMENTWISE.get(name.removesuffix("_"))

        def apply(*arguments: Any, **named: Any) -> Any:
            if plain is None:
                raise Strange(f"the operator {name:.60}")
            if name in OPERATORS:
                return self._settled(called(plain, *arguments, **named))
            into, *others = arguments
            if not isinstance(into, Tensor) or into.untyped_storage().data_ptr() in self._stored:
                raise Strange(f"the operator {name:.60} into what the file stores")
            return into.copy_(called(plain, into.clone(), *others, **named))

        return apply

    def _settled(self, value: Any, *, stored: bool = False, depth: int = 0) -> Any:
        if self._settle is None:
            return value
        if isinstance(value, (list, tuple)):
            pay(steps=len(value))
            if depth == MOST_NESTED:
                raise ValueError("lists within lists, deeper than a policy's")
            return [self._settled(part, stored=stored, depth=depth + 1) for part in value]
        return self._settle(value, stored=stored) if isinstance(value, Tensor) else value


def _default(node: ast.expr) -> Any:
    """The default value of an argument: a number, a text, or a list of them."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return -node.operand.value  # type: ignore[operator]  # a TypeError says that it is no number
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_default(part) for part in node.elts]
    raise ValueError("an argument with an unusual default")
