"""TorchScript operators that occur in policies, with the names and argument orders of its texts.

Every entry is differentiable or works on numbers; none reads, writes, draws random numbers or calls. An operator that
depends on a training mode runs in evaluation mode or is refused.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from microbench.checkpoints.containers.budget import pay
from microbench.checkpoints.containers.damage import Strange
from microbench.checkpoints.programs.program import WORK, pieces, product

Operator = Callable[..., Any]
FLOATS = (5, 6, 7, 15)  # TorchScript's numbers of float16, float32, float64 and bfloat16
MOST_INT, MOST_MADE, MOST_DIMENSIONS = 2**63, 2**20, 8


def _number(value: Any) -> Any:
    """The value itself if it is a number or a tensor; Strange for texts and lists, which Python would repeat."""
    if not isinstance(value, (int, float, Tensor)):
        raise Strange("arithmetic with something that is no number")
    return value


def _sizes(sizes: Any) -> list[int]:
    """A shape as a list; ValueError if it is no shape, or larger than a policy's."""
    if not isinstance(sizes, (list, tuple)) or not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError("a shape that is none")
    if len(sizes) > MOST_DIMENSIONS or math.prod(sizes) > MOST_MADE:
        raise ValueError("a tensor larger than a policy's")
    return list(sizes)


def _arithmetic(of: Callable[[Any, Any], Any]) -> Operator:
    """The arithmetic operator of tensors and numbers; `alpha` is a factor of the second."""

    def apply(x: Any, y: Any, alpha: float = 1) -> Any:
        result = of(_number(x), _number(y) if alpha == 1 else _number(y) * _number(alpha))
        if isinstance(result, int) and abs(result) >= MOST_INT:
            raise ValueError("a number beyond 64 bits")
        return result

    return apply


def _compared(of: Callable[[Any, Any], Any]) -> Operator:
    """The comparison of tensors, numbers, texts and flat lists of them; lists of lists could contain themselves."""

    def apply(x: Any, y: Any) -> Any:
        for value in (x, y):
            parts = value if isinstance(value, (list, tuple)) else [value]
            pay(steps=len(parts))
            if not all(isinstance(part, (int, float, str, Tensor, type(None))) for part in parts):
                raise Strange("a comparison of something that is no number")
        return of(x, y)

    return apply


def _divide(x: Any, y: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode is not None:
        raise Strange("the operator div with rounding")
    return _number(x) / _number(y)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    pay(steps=x.numel() * weight.shape[0] // WORK)
    return functional.linear(x, weight, bias)


def _addmm(bias: Tensor, x: Tensor, y: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    pay(steps=x.numel() * y.shape[-1] // WORK)
    return torch.addmm(bias, x, y, beta=beta, alpha=alpha)


def _split(x: Tensor, sizes: Any, dim: int = 0) -> Any:
    pieces(len(sizes) if isinstance(sizes, (list, tuple)) else -(-x.shape[dim] // sizes))
    return torch.split(x, sizes, dim)


def _chunk(x: Tensor, chunks: int, dim: int = 0) -> Any:
    pieces(chunks)
    return torch.chunk(x, chunks, dim)


def _unbind(x: Tensor, dim: int = 0) -> Any:
    pieces(x.shape[dim])
    return torch.unbind(x, dim)


def _broadcast(tensors: Any) -> Any:
    if not isinstance(tensors, (list, tuple)):
        raise ValueError("a list of tensors that is none")
    return torch.broadcast_tensors(*tensors)  # type: ignore[no-untyped-call]  # it has none


def _power(x: Any, y: Any) -> Any:
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        raise Strange("the operator pow of two numbers")
    return torch.pow(x, y)


def _to(x: Tensor, *arguments: Any, **named: Any) -> Tensor:
    """A change of type or device: floats become float32, and the device stays."""
    asked = [value for value in (*arguments, named.get("dtype")) if type(value) is int]
    if asked and asked[0] not in FLOATS:
        raise Strange("the operator to for a type that is no float")
    return x.float() if asked else x


def _dropout(x: Tensor, p: float, train: bool) -> Tensor:
    if train:
        raise Strange("a dropout that was stored in the mode of training")
    return x


def _batch_norm(
    x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, _: float, eps: float, *__: Any
) -> Tensor:
    if training:
        raise Strange("a batch normalisation that was stored in the mode of training")
    return functional.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)


def _slice(x: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return functional.gelu(x, approximate=approximate)


def _elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    if (scale, input_scale) != (1, 1):
        raise Strange("the operator elu with a scale")
    return functional.elu(x, alpha)


def _clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    return torch.clamp(x, min, max)


def _layer_norm(
    x: Tensor, shape: list[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    return functional.layer_norm(x, shape, weight, bias, eps)


def _sum(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    return torch.sum(x) if dim is None else torch.sum(x, dim, keepdim)


def _mean(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    return torch.mean(x) if dim is None else torch.mean(x, dim, keepdim)


def _softmax(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    return torch.softmax(x, dim)


def _filled(value: float) -> Operator:
    """An operator that fills a float32 tensor of a size with a value, whatever type and device it names."""

    def make(sizes: Any, *_: Any, **__: Any) -> Tensor:
        return torch.full(_sizes(sizes), value)

    return make


def _same(x: Any, *_: Any, **__: Any) -> Any:
    """Return x itself, also for `detach`: an attacker who has the file is not stopped by a removed gradient."""
    return x


def _raise(*_: Any) -> Any:
    raise Strange("a check that fails for such observations")


ELEMENTWISE: Mapping[str, Operator] = {
    "add": _arithmetic(operator.add),
    "sub": _arithmetic(operator.sub),
    "mul": _arithmetic(operator.mul),
    "div": _divide,
    "pow": _power,
    "clamp": _clamp,
    "clamp_min": lambda x, low: torch.clamp(x, min=low),
    "clamp_max": lambda x, high: torch.clamp(x, max=high),
    "relu": torch.relu,
    "relu6": functional.relu6,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": _elu,
    "selu": functional.selu,
    "silu": functional.silu,
    "mish": functional.mish,
    "leaky_relu": functional.leaky_relu,
    "hardtanh": functional.hardtanh,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "square": torch.square,
    "abs": torch.abs,
    "neg": operator.neg,
    "sin": torch.sin,
    "cos": torch.cos,
}
"""Operators that also exist with a trailing underscore, which writes the result into the first argument."""

OPERATORS: Mapping[str, Operator] = {
    **ELEMENTWISE,
    "linear": _linear,
    "addmm": _addmm,
    **{name: product for name in ("matmul", "mm", "bmm")},
    "t": torch.t,
    "transpose": torch.transpose,
    "gelu": _gelu,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "softmax": _softmax,
    "rsub": lambda x, y, alpha=1: _number(y) - _number(alpha) * _number(x),
    **{name: torch.minimum for name in ("minimum", "min")},
    **{name: torch.maximum for name in ("maximum", "max")},
    "where": torch.where,
    "broadcast_tensors": _broadcast,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    **{name: _dropout for name in ("dropout", "feature_dropout")},
    "cat": torch.cat,
    "stack": torch.stack,
    "chunk": _chunk,
    **{name: _split for name in ("split", "split_with_sizes")},
    "slice": _slice,
    "select": torch.select,
    "narrow": torch.narrow,
    "unbind": _unbind,
    "unsqueeze": torch.unsqueeze,
    "squeeze": torch.squeeze,
    "flatten": torch.flatten,
    **{name: torch.reshape for name in ("view", "reshape")},
    "expand": lambda x, sizes, **_: x.expand(sizes),
    "expand_as": lambda x, y: x.expand_as(y),
    "zeros": _filled(0.0),
    "ones": _filled(1.0),
    "zeros_like": lambda x, *_, **__: torch.zeros_like(x),
    "ones_like": lambda x, *_, **__: torch.ones_like(x),
    "sum": _sum,
    "mean": _mean,
    "to": _to,
    **{
        name: _same
        for name in ("contiguous", "detach", "type_as", "alias", "cpu", "lift_fresh", "NumToTensor", "ScalarImplicit")
    },
    "clone": lambda x, **_: x.clone(),
    "device": lambda *_: None,
    "size": lambda x, dim=None: list(x.shape) if dim is None else x.size(dim),
    "dim": lambda x: x.dim(),
    "len": len,
    **{name: _compared(getattr(operator, name)) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "__is__": operator.is_,
    "__isnot__": operator.is_not,
    "__not__": operator.not_,
    "RaiseException": _raise,
}
