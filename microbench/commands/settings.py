"""Parsers of `--set NAME=VALUE` and `--seeds 0,1,2`."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from microbench.errors import UserError, unknown_name
from microbench.learning.config import TrainConfig

MOST_SEEDS, MOST_SEED = 256, 2**32 - 1


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """`["beta=0.5", "deterministic_backup=true"]` → settings of TrainConfig; values are JSON.

    Raises:
        UserError: the text is not NAME=VALUE, the name unknown, or the value of the wrong kind.

    """
    known = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text} is no setting; expected NAME=VALUE, for example --set beta=0.5.")
        if name not in known:
            raise unknown_name("setting", name, known)
        if name in settings:
            raise UserError(f"--set {name} is given twice; give every setting once.")
        settings[name] = _value(name, value, known[name])
    return settings


def parse_seeds(text: str) -> tuple[int, ...]:
    """`"0,1,2"` → (0, 1, 2).

    Raises:
        UserError: the text holds anything but numbers of 0 or more, or one of them twice.

    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise UserError(f"--seeds {text}: expected whole numbers of 0 or more with commas between, like 0,1,2,3.")
    if len(words) > MOST_SEEDS or any(len(word) > 10 or int(word) > MOST_SEED for word in words):
        raise UserError(f"--seeds: expected at most {MOST_SEEDS} seeds from 0 to {MOST_SEED}.")
    seeds = tuple(int(word) for word in words)
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text} names a seed twice; expected every seed once.")
    return seeds


def _value(name: str, text: str, default: Any) -> Any:
    if isinstance(default, str):
        return text
    shown = text if len(text) <= 60 else f"{text[:60]}…"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"--set {name}={shown}: expected a number, true, false or null, like {default!r}.") from None
    if isinstance(default, tuple):
        value = tuple(value) if isinstance(value, list) else (value,)
    wanted = {bool: bool, int: int, tuple: tuple}.get(type(default), (int, float, type(None)))
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise UserError(f"--set {name}={shown} has the wrong kind of value; expected one like {json.dumps(default)}.")
    return value
