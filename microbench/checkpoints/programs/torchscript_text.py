"""The source texts of a TorchScript file: `__torch__.a.b.C.forward` is in code/__torch__/a/b.py, in the class C."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from microbench.checkpoints.containers.archives import Archive
from microbench.checkpoints.containers.budget import pay

MOST_TEXT = 2**18


class Texts:
    """The source texts of an archive, parsed on first use and never compiled or run."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._parsed: dict[str, Mapping[str, Any]] = {}

    def function(self, name: str) -> ast.FunctionDef:
        """The function with a qualified name; KeyError if there is none, ValueError if its text is no program."""
        place, _, last = name.rpartition(".")
        outer, _, kind = place.rpartition(".")
        function = self._file(place).get(last)
        if function is None:
            function = _named(getattr(self._file(outer).get(kind), "body", ())).get(last)
        if not isinstance(function, ast.FunctionDef):
            raise KeyError(f"function {name:.80}")
        return function

    def _file(self, name: str) -> Mapping[str, Any]:
        if name not in self._parsed:
            member = f"{self._archive.root}code/{name.replace('.', '/')}.py"
            self._parsed[name] = _named(_tree(self._archive.read(member))) if member in self._archive else {}
        return self._parsed[name]


def _tree(text: bytes) -> Sequence[ast.stmt]:
    """The statements of a text; ValueError for a text that Python's parser refuses, for example as too deep."""
    if len(text) > MOST_TEXT:
        raise ValueError("a program longer than a policy's")
    pay(size=400 * len(text), steps=4 * len(text))  # the parser makes so much of it
    try:
        return ast.parse(text.decode()).body
    except (SyntaxError, RecursionError) as error:
        raise ValueError("a program that is no text of TorchScript") from error


def _named(statements: Sequence[ast.stmt]) -> dict[str, Any]:
    return {node.name: node for node in statements if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
