"""Files of microbench itself: safetensors with a JSON description under `microbench`, checked before use."""

import json
import math
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

MOST_HEADER = 2**22
MOST_TENSORS, MOST_LAYERS, MOST_WIDTH = 1000, 100, 2**16


def read_described(content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the tensors of a file's bytes; without a description, {}.

    A safetensors file is 8 bytes with the header's length, a JSON header, and data.

    Raises:
        ValueError and others of `damage.DAMAGE`: the file is damaged, or its header is larger than one of ours.
    """
    length = int.from_bytes(content[:8], "little")
    if length > min(MOST_HEADER, len(content)):
        raise ValueError("a header longer than a file of ours has")
    header = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise ValueError("more tensors than a file of ours has")
    about = json.loads(header.get("__metadata__", {}).get("microbench", "{}"))
    if not isinstance(about, dict):
        raise ValueError("a description that is no dictionary")
    return about, load(content)


def widths(hidden: Any) -> tuple[int, ...]:
    """Sizes of hidden layers from a description; ValueError unless they are at most 100 positive numbers."""
    if not isinstance(hidden, list) or len(hidden) > MOST_LAYERS:
        raise ValueError("hidden layers without a list of their sizes")
    if not all(type(size) is int and 0 < size <= MOST_WIDTH for size in hidden):
        raise ValueError("hidden layers of impossible sizes")
    return tuple(hidden)


def check_numbers(tensors: dict[str, Tensor], positive: tuple[str, ...] = ()) -> None:
    """Raise ValueError unless all tensors are float32 and finite, and the tensors named in `positive` above 0."""
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or not bool(tensor.isfinite().all()):
            raise ValueError(f"{name:.60} has numbers that are not finite, or of another kind")
        if name in positive and not bool((tensor > 0).all()):
            raise ValueError(f"{name:.60} is not above 0 everywhere")


def is_finite(value: Any) -> bool:
    """Whether a value from a description is a finite number."""
    return isinstance(value, (int, float)) and abs(value) < 2**63 and math.isfinite(value)
