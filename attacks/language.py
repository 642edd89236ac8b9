"""The text form of an attack: `NAME[(setting=value,…)][@SENSOR[+SENSOR…]]`.

`pgd(steps=50,restarts=4)@2+5` is the attack `pgd` with two of its fields set, on two sensors alone. Results name an
attack by its whole text, so that a table shows every setting that was changed.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_FORM = re.compile(r"(?P<name>[^()@]+)(?P<settings>\(.*\))?(@(?P<sensors>[^()@]+))?", re.DOTALL)
_EXAMPLE = "write it as pgd, pgd(steps=50,restarts=4) or pgd@2+5"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A parsed attack text: a name, settings of the attack's record, and the sensors it may change (empty: all)."""

    name: str
    settings: Mapping[str, object] = field(default_factory=dict)
    sensors: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The attack's text in canonical spelling: `parse` of it gives an equal Spec."""
        settings = ",".join(f"{name}={_spelled(value)}" for name, value in self.settings.items())
        return (
            self.name + (f"({settings})" if settings else "") + ("@" + "+".join(self.sensors) if self.sensors else "")
        )


def parse(text: str) -> Spec:
    """`"pgd(steps=50)@2+5"` → its parts; a value is a number, true, false, a word or a quoted text.

    Raises:
        ValueError: the text is not of this form, or names a setting or a sensor twice.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is no attack; {_EXAMPLE}.")
    sensors = tuple(word.strip() for word in (match["sensors"] or "").split("+")) if match["sensors"] else ()
    if not all(sensors) or len(set(sensors)) < len(sensors):
        raise ValueError(f"'{text}' does not name every sensor once; {_EXAMPLE}.")
    settings = _settings(match["settings"] or "()", text)
    return Spec(name=match["name"].strip(), settings=settings, sensors=sensors)


def _settings(text: str, whole: str) -> dict[str, object]:
    try:
        call = ast.parse(f"attack{text}", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise ValueError(f"'{whole}' has settings that cannot be read; {_EXAMPLE}.")
    settings: dict[str, object] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in settings:
            raise ValueError(f"'{whole}' does not name every setting once; {_EXAMPLE}.")
        settings[keyword.arg] = _value(keyword.value, whole)
    return settings


def _value(node: ast.expr, whole: str) -> object:
    if isinstance(node, ast.Name):
        return {"true": True, "false": False}.get(node.id, node.id)
    try:
        value = ast.literal_eval(node)
    except ValueError:
        value = None
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"'{whole}' has a setting that is no number, word or quoted text; {_EXAMPLE}.")
    return value


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if value.isidentifier() else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
