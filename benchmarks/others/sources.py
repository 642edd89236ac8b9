"""Classes out of somebody's single-file program, without its imports of simulators, loggers and data."""

import ast
import importlib
import sys
from pathlib import Path
from typing import Any


def names_of(path: Path) -> dict[str, Any]:
    """All top-level names of a file that can be made here; what needs a package that is missing is left out.

    The file's code is executed: give only checkouts that you trust.
    """
    names: dict[str, Any] = {"__name__": "__main__"}  # run as a program, it pickles its classes under this name
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, (ast.Expr, ast.If, ast.Try)):
            continue
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            node.decorator_list = [one for one in node.decorator_list if "pyrallis" not in ast.unparse(one)]
        try:
            exec(compile(ast.Module([node], []), str(path), "exec"), names)
        except (ImportError, NameError, AttributeError):
            continue
    vars(sys.modules["__main__"]).update({name: one for name, one in names.items() if isinstance(one, type)})
    return names


def package(name: str) -> Any:
    """A package that is imported by name, because there are no types of it."""
    return importlib.import_module(name)
