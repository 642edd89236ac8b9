"""The small language of settings: --set NAME=VALUE."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from microbench.config import TrainConfig
from microbench.errors import UserError, unknown_name


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """`["beta=0.5", "deterministic_backup=true"]` → settings of TrainConfig; values are written as in JSON.

    Raises:
        UserError: not NAME=VALUE, an unknown name, or a value of the wrong kind.

    """
    known = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text} is no setting; expected NAME=VALUE, for example --set beta=0.5.")
        if name not in known:
            raise unknown_name("setting", name, known)
        settings[name] = _value(name, value, known[name])
    return settings


def _value(name: str, text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise UserError(f"--set {name}={text}: expected a number, true, false or null, like {default!r}.") from None
    if isinstance(default, tuple):
        value = tuple(value) if isinstance(value, list) else (value,)
    wanted = {bool: bool, int: int, tuple: tuple}.get(type(default), (int, float, type(None)))
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise UserError(f"--set {name}={text} has the wrong kind of value; expected one like {json.dumps(default)}.")
    return value
