"""Hidden activations by name, some with a number: relu, leaky_relu(0.2), elu(0.5)."""

import ast
import math
import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: Mapping[str, Activation] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "leaky_relu": functional.leaky_relu,
    "silu": functional.silu,
    "sigmoid": torch.sigmoid,
}
"""Activations with torch's default numbers: a slope of 0.01, an alpha of 1."""

NUMBERED: Mapping[str, tuple[str, float, Callable[[Tensor, float], Tensor]]] = {
    "leaky_relu": ("negative_slope", 0.01, functional.leaky_relu),
    "elu": ("alpha", 1.0, functional.elu),
}
"""Activations with a number: torch's name of the number, its default, the function."""

WRITTEN = re.compile(r"(\w+)\(([-+.\de]+)\)")
CLASS = r"<class 'torch\.nn\.modules\.activation\.(\w+)'>"
NAMES = {"leakyrelu": "leaky_relu"}
MOST_CHARACTERS = 200  # of a readable form; a longer one is no setting of an activation


def activation(text: str) -> Activation | None:
    """The function of a name such as `relu` or `leaky_relu(0.2)`; None if there is no such activation."""
    written = WRITTEN.fullmatch(text)
    if written is None or written[1] not in NUMBERED:
        return ACTIVATIONS.get(text)
    try:
        number = float(written[2])
    except ValueError:
        return None
    function = NUMBERED[written[1]][2]
    return (lambda x: function(x, number)) if math.isfinite(number) else None


def of_class(text: str) -> str:
    """The activation's name for the printed form of a torch class or of its functools.partial; else the text itself.

    `<class 'torch.nn.modules.activation.ReLU'>` is relu; a partial of LeakyReLU with 0.2 is leaky_relu(0.2).
    """
    if len(text) > MOST_CHARACTERS:
        return text
    plain = re.fullmatch(CLASS, text)
    if plain is not None:
        return _name(plain[1])
    partial = re.fullmatch(rf"functools\.partial\({CLASS}(?:, (.*))?\)", text)
    return text if partial is None else _of_partial(_name(partial[1]), partial[2] or "", text)


def _of_partial(name: str, arguments: str, text: str) -> str:
    """The name of a partial's activation with its number; `text` itself if it has settings other than `inplace`."""
    try:
        call = ast.parse(f"f({arguments})", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    keyword, number, _ = NUMBERED.get(name, ("", 0.0, None))
    names = [keyword, "inplace"] if keyword else ["inplace"]
    if not isinstance(call, ast.Call) or len(call.args) > len(names):
        return text
    settings = [*zip(names, call.args, strict=False), *((entry.arg or "", entry.value) for entry in call.keywords)]
    for setting, node in settings:
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError, RecursionError, MemoryError):
            return text
        if setting == keyword and type(value) in (int, float):
            number = float(value)
        elif setting != "inplace":
            return text
    return name if not keyword or number == NUMBERED[name][1] else f"{name}({number:g})"


def _name(class_name: str) -> str:
    return NAMES.get(class_name.lower(), class_name.lower())
