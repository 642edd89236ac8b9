"""The faster float32 matrix kernel of oneDNN, switched on only where it really computes in float32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Relative error of a 256 × 256 product: true float32 stays near 3e-7, bfloat16 near 3e-3.
_FLOAT32_ERROR = 2e-6


@contextmanager
def fast_float32_matmul() -> Iterator[bool]:
    """Route float32 products through oneDNN inside the block, if that keeps float32 accuracy on this processor.

    On processors without bfloat16 matrix units torch's setting `bf16` selects oneDNN's float32 kernel, about twice as
    fast as the default on AMD; on those with such units it would really round to bfloat16, which a probe detects.
    Yields whether the kernel is on. The setting is global to the process and restored at the end.
    """
    settings = getattr(torch.backends.mkldnn, "matmul", None)
    if settings is None:  # the setting came with torch 2.9
        yield False
        return
    before = settings.fp32_precision
    try:
        settings.fp32_precision = "bf16"
        accurate = _product_error() < _FLOAT32_ERROR
        if not accurate:
            settings.fp32_precision = before
        yield accurate
    finally:
        settings.fp32_precision = before


def _product_error() -> float:
    """Largest error of a float32 product relative to the largest entry of the float64 one."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 256, 256, generator=generator, dtype=torch.float64)
    exact = a @ b
    return float(((a.float() @ b.float()).double() - exact).abs().max() / exact.abs().max())
