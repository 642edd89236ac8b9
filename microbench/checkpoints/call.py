"""Policies named as `module:callable`: the one case in which a policy's own code runs, because the user asks for it."""

import hashlib
import inspect
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import torch

from attacks import Target
from microbench.checkpoints.record import Checkpoint, Overrides, Source
from microbench.errors import UserError
from microbench.tasks import find_task

FAMILY = "callable"


def is_call(path: str) -> bool:
    """Whether the text names a function of a module and not a file."""
    return ":" in path and not Path(path).exists() and "/" not in path and "\\" not in path


def load_call(name: str, overrides: Overrides) -> Checkpoint:
    """The checkpoint of a function without arguments that returns an `attacks.Target`; its module's source is hashed.

    Raises:
        UserError: the function cannot be imported, does not return a target, or --env is missing.
    """
    try:
        function = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"the policy {name!r} cannot be imported ({error}); expected module:callable on the Python path."
        ) from error
    if overrides.env_id is None:
        raise UserError(f"{name} does not say its task; give --env.")
    target = function() if callable(function) else None
    if not isinstance(target, Target):
        raise UserError(f"{name} is no policy; expected a function without arguments that returns an attacks.Target.")
    if not target.obs_scale:  # the task knows how many sensors there are
        target = replace(target, obs_scale={"raw": torch.ones(find_task(overrides.env_id).obs_size)})
    sha256 = hashlib.sha256(f"{name}\n{_source(function)}".encode()).hexdigest()
    return Checkpoint(
        path=Path(name),
        sha256=sha256,
        family=FAMILY,
        env_id=overrides.env_id,
        algorithm=name,
        dataset="",
        train_seed=None,
        stored_score=None,
        target=target,
        source=Source(path=name, file_sha256=sha256, identity=sha256, overrides=overrides),
        inferred={"policy": "whatever the function returned"},
    )


def _source(function: object) -> str:
    """The source of the function's module; empty if it has none."""
    module = inspect.getmodule(function)
    try:
        return "" if module is None else inspect.getsource(module)
    except OSError:
        return ""
