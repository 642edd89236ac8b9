"""Functions of others as attacks call them: tensors in, tensors out, and one sentence where that cannot be.

Policies and critics come as torch modules in any precision, and as NumPy functions. Attacks ask all of them with
tensors that may want a gradient, in the precision of the observations.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

PRECISION = re.compile(r"dtype|scalar type|bias type|weight type", re.IGNORECASE)
"""What torch's errors speak of where a network has another precision than its input."""

NEEDS_PLAIN = "requires grad"
"""What torch's error speaks of where NumPy is to read a tensor that wants a gradient."""

NEEDS_ARRAY = "numpy.ndarray"
"""What torch's errors speak of where arrays and tensors meet."""

FORMS = {"policy": "action (B, A)", "critic": "value (B,)", "critics": "values (K, B)", "state_value": "value (B,)"}
"""Fields of a target that are functions of observations → what they return for obs (B, S)."""


class Adapted:
    """A function of a target, called with tensors.

    One in double precision gets its input so, and gradients pass. One of NumPy gets what it can read; its results have
    no gradient, which `Target.has` tells. A policy's actions have the precision of its observations.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function, self.name = function, name

    def __getattr__(self, name: str) -> Any:
        """Return what the function has of that name: a module keeps its parameters."""
        if name.startswith("__") or name == "function":  # asked for by copies, before there is a function
            raise AttributeError(name)
        return getattr(self.function, name)

    def __call__(self, *inputs: Tensor) -> Any:
        """Return what the function returns, as a tensor; ValueError if it fails or returns something else."""
        try:
            values = self._values(inputs)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"The {self.name} failed on {self._shapes(inputs)} in {_spelled(inputs[0].dtype)} "
                f"({str(error).splitlines()[0].rstrip('.')}); it must return {FORMS[self.name]} for obs (B, S)."
            ) from error
        if isinstance(values, (np.ndarray, np.number)):
            values = torch.from_numpy(np.array(values)).to(inputs[0].device)
        if not isinstance(values, Tensor):
            raise ValueError(f"The {self.name} returned {type(values).__name__}, not a tensor: {FORMS[self.name]}.")
        return values.to(inputs[0].dtype) if self.name == "policy" else values

    def _values(self, inputs: tuple[Tensor, ...]) -> Any:
        try:
            return self.function(*inputs)
        except (RuntimeError, TypeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            if NEEDS_PLAIN in str(error):
                return self.function(*(values.detach() for values in inputs))
            if NEEDS_ARRAY in str(error):
                return self.function(*(values.detach().cpu().numpy() for values in inputs))
            if PRECISION.search(str(error)) and any(values.dtype != torch.float64 for values in inputs):
                return self.function(*(values.double() for values in inputs))
            raise

    def _shapes(self, inputs: tuple[Tensor, ...]) -> str:
        return " and ".join(f"{name} {tuple(x.shape)}" for name, x in zip(("obs", "action"), inputs, strict=False))


def as_vector(name: str, values: Any) -> Tensor:
    """Return numbers, one per sensor or actuator, as a vector; ValueError if they are none.

    A tensor stays what it is; a NumPy array or a list becomes one in float32.
    """
    try:
        vector = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values, np.float32))
    except (TypeError, ValueError):
        vector = torch.empty(0, 0)
    if vector.ndim != 1:
        raise ValueError(f"{name} must be a vector of numbers, one per sensor (or actuator), not {values!r:.80}.")
    return vector


def _spelled(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
