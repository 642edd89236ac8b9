"""Policies and critics of users, wrapped so that attacks call all of them with tensors.

They may be torch modules in any precision, or NumPy functions. Attacks call them with tensors in the precision of the
observations, which may require a gradient. A function that fails raises ValueError with one sentence.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

PRECISION = re.compile(r"dtype|scalar type|bias type|weight type", re.IGNORECASE)
"""Words of torch's error for a network of another precision than its input."""

NEEDS_PLAIN = "requires grad"
"""Words of torch's error for NumPy reading a tensor that requires a gradient."""

NEEDS_ARRAY = "numpy.ndarray"
"""Words of torch's errors for a function that mixes arrays and tensors."""

FORMS = {"policy": "action (B, A)", "critic": "value (B,)", "critics": "values (K, B)", "state_value": "value (B,)"}
"""Fields of a target that are functions of observations → what they return for obs (B, S)."""


class Adapted:
    """A function of a target (`FORMS`) that takes and returns tensors.

    A module in double precision receives double input, and gradients pass through it. A NumPy function receives arrays;
    its results have no gradient, and `Target.has` reports that. Actions have the precision of the observations.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function, self.name = function, name

    def __getattr__(self, name: str) -> Any:
        """Return the function's own attribute, so that a module keeps its parameters."""
        if name.startswith("__") or name == "function":  # copy.copy reads these before there is a function
            raise AttributeError(name)
        return getattr(self.function, name)

    def __call__(self, *inputs: Tensor) -> Any:
        """Return the function's result as a tensor; ValueError if it fails or returns something else."""
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
    """Return numbers, one per sensor or actuator, as a vector; ValueError if they are no vector of numbers.

    A tensor is returned as it is; a NumPy array or a list becomes a float32 tensor.
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
