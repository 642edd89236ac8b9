"""Typer's parameters from option records: a record is a frozen dataclass whose fields carry typer's annotations."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_origin, get_type_hints


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer: each parameter that is a record gives way to the record's options, in the same place.

    A field that is itself a record is expanded likewise. A field without typer's annotation is no option and keeps its
    default; its type may be written in quotes.

    Raises:
        ValueError: two options of one name.
    """
    hints = {name: hint for name, hint in get_type_hints(command, include_extras=True).items() if name != "return"}
    own = inspect.signature(command).parameters
    options = [option for name in own for option in (_options(hints[name]) or [own[name]])]

    @wraps(command)
    def run(**values: Any) -> None:
        command(**{name: _record(hint, values) if is_dataclass(hint) else values[name] for name, hint in hints.items()})

    keyword = inspect.Parameter.KEYWORD_ONLY
    run.__signature__ = inspect.Signature([one.replace(kind=keyword) for one in options])  # type: ignore[attr-defined]  # typer reads it
    return run


def _options(record: Any) -> list[inspect.Parameter]:
    """The options of a record in the order of its fields; empty for anything that is no record."""
    options = []
    for field in fields(record) if is_dataclass(record) else ():
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        own = inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, annotation=field.type, default=default)
        options += [own] if get_origin(field.type) is Annotated else _options(field.type)
    return options


def _record(record: Any, values: dict[str, Any]) -> Any:
    """The record that takes its fields from the values by name."""
    nested = {field.name: _record(field.type, values) for field in fields(record) if is_dataclass(field.type)}
    return record(**{field.name: values[field.name] for field in fields(record) if field.name in values} | nested)
