"""ONNX operators that occur in policies, as differentiable functions of settings and inputs.

Their meaning is that of opset 9 and later. Where a later opset turned a setting into an input, both forms work.
Integers stay tensors, because ONNX computes shapes like numbers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from microbench.checkpoints.containers.damage import Strange
from microbench.checkpoints.programs.program import MOST_INTEGERS, MOST_TOGETHER, pieces, product

Settings = Mapping[str, Any]
Operator = Callable[..., Any]
FLOATS, INTEGERS = (1, 10, 11), (6, 7)  # TensorProto.DataType
FAR = 2**31  # bound of a slice's end, which exporters write as the largest integer


def _plain(of: Callable[..., Any]) -> Operator:
    """The operator of a function without settings."""
    return lambda _, *inputs: of(*inputs)


def _many(of: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    """The operator that folds a binary function over any number of inputs."""

    def apply(_: Settings, *inputs: Tensor) -> Tensor:
        return reduce(_bounded(of), inputs)

    return apply


def _bounded(of: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The function with a bound on integer results, because results in between are not checked elsewhere."""

    def apply(x: Tensor, y: Tensor) -> Tensor:
        result = of(x, y)
        if not result.is_floating_point() and result.numel() > MOST_TOGETHER:
            raise ValueError("a program that computes with many integers")
        return result

    return apply


def _listed(settings: Settings, name: str, tensor: Tensor | None = None) -> list[int] | None:
    """Integers from an input, else from the setting `name`; None if both are omitted."""
    if tensor is None:
        return settings.get(name)
    if tensor.numel() > MOST_INTEGERS or tensor.is_floating_point() or tensor.is_meta:
        raise Strange("axes or sizes that are no few integers")
    return [int(number) for number in tensor.flatten().tolist()]


def _gemm(settings: Settings, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = (settings.get(name, 1.0) for name in ("alpha", "beta"))
    a, b = (x.T if settings.get(name) else x for x, name in ((a, "transA"), (b, "transB")))
    whole = product(a, b) if alpha == 1 else alpha * product(a, b)
    return whole if c is None or beta == 0 else whole + (c if beta == 1 else beta * c)


def _divide(_: Settings, x: Tensor, y: Tensor) -> Tensor:
    if x.is_floating_point() or y.is_floating_point():
        return x / y
    if bool(((y == 0) | (y == -1)).any()):  # the processor ends the process: by 0, and the smallest number by −1
        raise Strange("a division of integers by 0 or −1")
    return torch.div(x, y, rounding_mode="trunc")


def _clip(settings: Settings, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    bounds = (settings.get("min") if low is None else low, settings.get("max") if high is None else high)
    return x if bounds == (None, None) else torch.clamp(x, *bounds)


def _softmax(settings: Settings, x: Tensor) -> Tensor:
    if x.ndim != 2 and "axis" not in settings:
        raise Strange("the operator Softmax without an axis")
    return torch.softmax(x, settings.get("axis", -1))


def _gelu(settings: Settings, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=settings.get("approximate", "none"))


def _hard_sigmoid(settings: Settings, x: Tensor) -> Tensor:
    line: Tensor = settings.get("alpha", 0.2) * x + settings.get("beta", 0.5)
    return line.clamp(0, 1)


def _selu(settings: Settings, x: Tensor) -> Tensor:
    if settings:
        raise Strange("the operator Selu with settings")
    return functional.selu(x)


def _concat(settings: Settings, *parts: Tensor) -> Tensor:
    return torch.cat(parts, settings["axis"])


def _split(settings: Settings, x: Tensor, sizes: Tensor | None = None) -> Sequence[Tensor]:
    axis, numbers = settings.get("axis", 0), _listed(settings, "split", sizes)
    count = settings.get("num_outputs", 2) if numbers is None else len(numbers)
    pieces(count)
    if numbers is not None:
        return torch.split(x, numbers, axis)
    return torch.split(x, math.ceil(x.shape[axis] / count), axis)


def _slice(settings: Settings, x: Tensor, *inputs: Tensor | None) -> Tensor:
    names = ("starts", "ends", "axes", "steps")
    numbers = [_listed(settings, name, part) for name, part in zip(names, [*inputs, *[None] * 4], strict=False)]
    starts, ends = numbers[0] or [], numbers[1] or []
    axes, steps = numbers[2] or list(range(len(starts))), numbers[3] or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 1:
            raise Strange("the operator Slice that runs backwards")
        x = x[(slice(None),) * (axis % x.ndim) + (slice(start, min(end, FAR), step),)]
    return x


def _gather(settings: Settings, x: Tensor, index: Tensor) -> Tensor:
    axis = settings.get("axis", 0)
    if index.ndim > 1 or index.is_floating_point() or index.numel() > MOST_INTEGERS:
        raise Strange("the operator Gather with a table of indices")
    places = torch.where(index < 0, index + x.shape[axis], index).to(x.device)
    return x.select(axis, int(places)) if index.ndim == 0 and not x.is_meta else _picked(x, axis, places, index.ndim)


def _picked(x: Tensor, axis: int, places: Tensor, dimensions: int) -> Tensor:
    rows = torch.index_select(x, axis, places.reshape(-1))
    return rows if dimensions else rows.squeeze(axis)


def _squeeze(settings: Settings, x: Tensor, axes: Tensor | None = None) -> Tensor:
    numbers = _listed(settings, "axes", axes)
    return x.squeeze() if numbers is None else x.squeeze(tuple(numbers))


def _unsqueeze(settings: Settings, x: Tensor, axes: Tensor | None = None) -> Tensor:
    numbers = _listed(settings, "axes", axes) or []
    dimensions = x.ndim + len(numbers)
    for axis in sorted(axis % dimensions for axis in numbers):
        x = x.unsqueeze(axis)
    return x


def _reshape(settings: Settings, x: Tensor, shape: Tensor) -> Tensor:
    numbers = _listed(settings, "shape", shape) or []
    if not settings.get("allowzero"):
        numbers = [x.shape[place] if size == 0 else size for place, size in enumerate(numbers)]
    return x.reshape(numbers)


def _flatten(settings: Settings, x: Tensor) -> Tensor:
    axis = settings.get("axis", 1) % (x.ndim + 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _transpose(settings: Settings, x: Tensor) -> Tensor:
    return x.permute(settings.get("perm") or list(range(x.ndim))[::-1])


def _expand(_: Settings, x: Tensor, shape: Tensor) -> Tensor:
    """Broadcast x to the shape, which may have fewer dimensions, or a 1 where x has more."""
    numbers = _listed({}, "", shape) or []
    numbers = [1] * (x.ndim - len(numbers)) + numbers
    own = [1] * (len(numbers) - x.ndim) + list(x.shape)
    return x.expand([mine if size == 1 else size for mine, size in zip(own, numbers, strict=True)])


def _constant(settings: Settings) -> Tensor:
    for name, value in settings.items():
        if name == "value" and isinstance(value, Tensor):
            return value
        if name in ("value_float", "value_int", "value_floats", "value_ints"):
            return torch.tensor(value)
    raise Strange("the operator Constant of something that is no number")


def _filled(settings: Settings, shape: Tensor) -> Tensor:
    value = settings.get("value", torch.zeros(1))
    numbers = _listed({}, "", shape) or []
    if math.prod(numbers) > MOST_INTEGERS:
        raise Strange("the operator ConstantOfShape for a large shape")
    return torch.full(numbers, value.item(), dtype=value.dtype)


def _cast(settings: Settings, x: Tensor) -> Tensor:
    target = settings.get("to")
    if target in FLOATS:
        return x.float()
    if target in INTEGERS and not x.is_floating_point() and x.dtype != torch.bool:
        return x
    raise Strange("the operator Cast to a type that has no gradients")


def _dropout(_: Settings, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None) -> Tensor:
    if training is not None:
        raise Strange("a dropout that may be in the mode of training")
    return x


def _batch_norm(settings: Settings, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    if settings.get("training_mode"):
        raise Strange("a batch normalisation in the mode of training")
    return functional.batch_norm(x, mean, var, scale, bias, False, 0.0, settings.get("epsilon", 1e-5))


def _layer_norm(settings: Settings, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    if settings.get("axis", -1) not in (-1, x.ndim - 1):
        raise Strange("the operator LayerNormalization over several axes")
    return functional.layer_norm(x, x.shape[-1:], scale, bias, settings.get("epsilon", 1e-5))


def _reduced(of: Callable[..., Tensor]) -> Operator:
    def apply(settings: Settings, x: Tensor, axes: Tensor | None = None) -> Tensor:
        numbers = _listed(settings, "axes", axes)
        if not numbers and settings.get("noop_with_empty_axes"):
            return x
        return of(x, tuple(numbers or range(x.ndim)), keepdim=bool(settings.get("keepdims", 1)))

    return apply


def _shape(settings: Settings, x: Tensor) -> Tensor:
    return torch.tensor(list(x.shape)[settings.get("start", 0) : settings.get("end")], dtype=torch.int64)


OPERATORS: Mapping[str, Operator] = {
    "Gemm": _gemm,
    "MatMul": _plain(product),
    "Add": _plain(torch.add),
    "Sub": _plain(torch.sub),
    "Mul": _plain(torch.mul),
    "Div": _divide,
    "Pow": lambda _, x, y: torch.pow(x, y.to(x)),
    "Neg": _plain(torch.neg),
    "Abs": _plain(torch.abs),
    "Exp": _plain(torch.exp),
    "Log": _plain(torch.log),
    "Sqrt": _plain(torch.sqrt),
    "Reciprocal": _plain(torch.reciprocal),
    "Erf": _plain(torch.erf),
    "Sin": _plain(torch.sin),
    "Cos": _plain(torch.cos),
    "Relu": _plain(torch.relu),
    "Tanh": _plain(torch.tanh),
    "Sigmoid": _plain(torch.sigmoid),
    "Elu": lambda settings, x: functional.elu(x, settings.get("alpha", 1.0)),
    "Selu": _selu,
    "LeakyRelu": lambda settings, x: functional.leaky_relu(x, settings.get("alpha", 0.01)),
    "PRelu": lambda _, x, slope: torch.where(x < 0, slope * x, x),
    "Softplus": _plain(functional.softplus),
    "Softsign": _plain(functional.softsign),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(functional.hardswish),
    "Gelu": _gelu,
    "Mish": _plain(functional.mish),
    "Softmax": _softmax,
    "Clip": _clip,
    "Min": _many(torch.minimum),
    "Max": _many(torch.maximum),
    "Sum": _many(torch.add),
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Expand": _expand,
    "Identity": _plain(lambda x: x),
    "Dropout": _dropout,
    "Cast": _cast,
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Shape": _shape,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Where": _plain(torch.where),
    "Equal": _plain(torch.eq),
    "Greater": _plain(torch.gt),
    "GreaterOrEqual": _plain(torch.ge),
    "Less": _plain(torch.lt),
    "LessOrEqual": _plain(torch.le),
    "Not": _plain(torch.logical_not),
    "And": _plain(torch.logical_and),
    "Or": _plain(torch.logical_or),
}
