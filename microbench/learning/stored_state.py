"""The stored state of an interrupted training: read with a check of its checksums, and compared with new settings."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import torch

_DAMAGE = (zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError)


def read_state(content: bytes) -> dict[str, Any] | None:
    """The dict that `torch.save` wrote; None if the bytes are damaged or hold anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.testzip() is not None:  # torch itself does not verify the checksums
                return None
        state = torch.load(io.BytesIO(content), weights_only=True)
    except _DAMAGE:
        return None
    return state if isinstance(state, dict) else None


def differences(stored: Mapping[str, Any], expected: Mapping[str, Any], *, missing: object = None) -> list[str]:
    """Phrases `NAME stored instead of expected` for every differing setting; an absent one counts as `missing`."""
    return [
        f"{name} {stored.get(name)!r} instead of {value!r}"
        for name, value in expected.items()
        if stored.get(name, missing) != value
    ]
