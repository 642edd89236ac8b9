"""Settings replace fields of an attack's record: `pgd(steps=50,objective=value)` is `pgd` with two other fields."""

import types
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from attacks.language import Spec
from attacks.objectives import OBJECTIVES, Objective

Record = TypeVar("Record")

MOST = 10_000
"""The largest whole number in a text, because each step, start or candidate costs time and memory per row."""


def configured(record: Record, spec: Spec) -> Record:
    """The record with the settings of a parsed text.

    Raises:
        ValueError: the record has no such setting, or the value is of the wrong kind or too large.
    """
    if not is_dataclass(record) or isinstance(record, type):
        raise ValueError(f"The attack {spec.name!r} has no settings; leave the parentheses out.")
    names = [field.name for field in fields(record)]
    hints = get_type_hints(type(record))
    return replace(record, **{name: _checked(spec, name, names, hints) for name in spec.settings})


def _checked(spec: Spec, name: str, names: list[str], hints: dict[str, object]) -> object:
    if name not in names:
        nearest = get_close_matches(name, names, n=1)
        hint = f"did you mean {nearest[0]!r}? It has" if nearest else "it has"
        raise ValueError(f"The attack {spec.name!r} has no setting {name!r}; {hint} {', '.join(names) or 'none'}.")
    value, wanted = spec.settings[name], _kinds(hints[name])
    if Objective in wanted:
        if value not in OBJECTIVES:
            raise ValueError(f"There is no objective {value!r}; choose one of {', '.join(OBJECTIVES)}.")
        return OBJECTIVES[str(value)]
    fits = type(value) in wanted or (float in wanted and type(value) is int)
    if not fits:
        expected = " or ".join(getattr(kind, "__name__", str(kind)) for kind in wanted if kind is not types.NoneType)
        raise ValueError(
            f"{name}={value!r} of the attack {spec.name!r} has the wrong kind of value; expected {expected}."
        )
    if type(value) is int and value > MOST:
        raise ValueError(f"{name}={value} of the attack {spec.name!r} is beyond any use; expected at most {MOST:,}.")
    return float(value) if int not in wanted and type(value) is int else value


def _kinds(hint: object) -> tuple[object, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
