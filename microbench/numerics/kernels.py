"""The faster float32 matrix kernels of oneDNN, switched on only where they keep float32 accuracy."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

# Relative error of a 256 × 256 product: true float32 stays near 3e-7, bfloat16 near 3e-3.
_FLOAT32_ERROR = 2e-6
Activation = Literal["none", "relu"]
_MANY_ROWS = 2048  # rows; below them `column`'s change of kernel gains little, and they keep their last digits
_fused = False  # whether `dense` may be used; a setting of the process, like the kernel itself


@contextmanager
def fast_float32_matmul() -> Iterator[bool]:
    """Route float32 products through oneDNN inside the block, if that keeps float32 accuracy on this processor.

    It yields whether the kernel is on. The setting is global to the process and restored at the end.

    On processors without bfloat16 matrix units torch's setting `bf16` selects oneDNN's float32 kernel, about twice as
    fast as the default on AMD. On processors with such units it rounds to bfloat16; a trial product detects that, and
    the kernel stays off. On either kind, `dense` computes layers that need no gradient inside the block: in float32,
    with no second pass over the result.
    """
    global _fused
    settings = getattr(torch.backends.mkldnn, "matmul", None)
    if settings is None:  # the setting came with torch 2.9
        yield False
        return
    before, before_fused = settings.fp32_precision, _fused
    try:
        settings.fp32_precision = "bf16"
        accurate = _product_error() < _FLOAT32_ERROR
        if not accurate:
            settings.fp32_precision = before
        _fused = _fused_layers_agree()
        yield accurate
    finally:
        settings.fp32_precision, _fused = before, before_fused


def fusable(x: Tensor) -> bool:
    """Whether `dense` may compute a layer at x (B, in): within `fast_float32_matmul`, on the CPU, without gradients.

    A single row is left to torch, which has a special kernel for it.
    """
    return _fused and x.is_cpu and x.dtype == torch.float32 and len(x) > 1 and not torch.is_grad_enabled()


def dense(x: Tensor, weight: Tensor, bias: Tensor, activation: Activation) -> Tensor:
    """activation(x Wᵀ + b) in one kernel: (B, in), (out, in), (out,) → (B, out). Only where `fusable` says so."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "")
    return out


def column(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A layer with a single output, x w + b: (B, in), (in, 1), (1,) → (B,).

    Many rows use torch's own kernel even within `fast_float32_matmul`: oneDNN's takes twice as long for one column.
    """
    with _default_kernel() if len(x) >= _MANY_ROWS and fusable(x) else nullcontext():
        return torch.addmm(bias, x, weight).squeeze(-1)


def hidden_layer(x: Tensor, weight: Tensor, bias: Tensor, *, half: bool = False) -> Tensor:
    """relu(x Wᵀ + b): (B, in), (out, in), (out,) → (B, out). With `half`, the product is in bfloat16."""
    fused = fusable(x)
    if half:
        x, weight, bias = x.bfloat16(), weight.bfloat16(), bias.bfloat16()
    out = dense(x, weight, bias, "relu") if fused else functional.linear(x, weight, bias).relu_()
    return out.float() if half else out


@contextmanager
def _default_kernel() -> Iterator[None]:
    """Use torch's own float32 products inside the block; the setting exists wherever a layer is fusable."""
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # set up at run time by torch
    before, settings.fp32_precision = settings.fp32_precision, "none"
    try:
        yield
    finally:
        settings.fp32_precision = before


def _fused_layers_agree() -> bool:
    """Whether torch has fused layers and they give the usual numbers; they are not part of its public interface."""
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 64, 64, generator=generator)
    usual = functional.linear(x, weight, weight[0])
    try:
        with torch.no_grad():
            fused = dense(x, weight, weight[0], "none"), dense(x, weight, weight[0], "relu")
    except (AttributeError, RuntimeError):
        return False
    pairs = zip(fused, (usual, usual.relu()), strict=True)
    return all(torch.allclose(one, other, rtol=1e-5, atol=1e-5) for one, other in pairs)


def _product_error() -> float:
    """Largest error of a float32 product relative to the largest entry of the float64 one."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 256, 256, generator=generator, dtype=torch.float64)
    exact = a @ b
    return float(((a.float() @ b.float()).double() - exact).abs().max() / exact.abs().max())
