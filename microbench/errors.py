"""The exception for mistakes that the user can correct."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake of the caller. Its message is one sentence: what was wrong, what was expected, what to do."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a table, with the nearest known name."""
    names = sorted(known)
    near = [known for known in names if name and known.startswith(name)]
    near = near or difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return UserError(f"there is no {kind} '{name}': {hint}known are {', '.join(names)}.")
