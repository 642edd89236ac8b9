"""The faster matrix kernel is a setting of the whole process: it must go back, and it must be float32."""

from typing import Any

import pytest
import torch

import microbench.numerics.kernels as kernels
from microbench.learning.networks import Actor, Critics
from microbench.numerics.kernels import fast_float32_matmul


def setting() -> Any:
    return torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]  # set up at run time by torch


def test_the_setting_is_restored() -> None:
    before = setting()
    with fast_float32_matmul() as on:
        assert isinstance(on, bool)
        assert setting() == ("bf16" if on else before)
    assert setting() == before


def test_the_setting_is_restored_after_an_error() -> None:
    before = setting()
    with pytest.raises(RuntimeError, match="inside"), fast_float32_matmul():
        raise RuntimeError("inside")
    assert setting() == before


def test_products_stay_float32() -> None:
    """Whatever the processor: inside the block a product is as good as a float32 product has to be."""
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 200, 200, generator=generator, dtype=torch.float64)
    exact = a @ b
    with fast_float32_matmul():
        for product in (a.float() @ b.float(), torch.baddbmm(torch.zeros(1), a.float()[None], b.float()[None])[0]):
            assert ((product.double() - exact).abs().max() / exact.abs().max()).item() < 2e-6


def test_a_processor_that_rounds_keeps_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    before = setting()
    monkeypatch.setattr(kernels, "_product_error", lambda: 3e-3)
    with fast_float32_matmul() as on:
        assert not on
        assert setting() == before


def test_layers_are_fused_even_where_the_faster_kernel_would_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """On processors with bfloat16 units the default float32 products are fused as well, and stay float32."""
    with fast_float32_matmul():
        anywhere = kernels._fused
    monkeypatch.setattr(kernels, "_product_error", lambda: 3e-3)
    with fast_float32_matmul() as on, torch.no_grad():
        assert (on, kernels._fused) == (False, anywhere)
        if anywhere:
            a = torch.randn(256, 256, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            product = kernels.dense(a.float(), a.float().T, torch.zeros(256), "none").double()
            assert ((product - a @ a).abs().max() / (a @ a).abs().max()).item() < 2e-6


def test_a_failing_probe_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> float:
        raise RuntimeError("probe")

    before = setting()
    monkeypatch.setattr(kernels, "_product_error", fail)
    with pytest.raises(RuntimeError, match="probe"), fast_float32_matmul():
        pass
    assert setting() == before


def test_an_older_torch_without_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting appeared in torch 2.9; before it there is nothing to switch."""
    monkeypatch.setattr(torch.backends, "mkldnn", object())
    with fast_float32_matmul() as on:
        assert not on


def test_the_probe_sees_bfloat16() -> None:
    assert kernels._product_error() < 2e-6
    a = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    rounded = (a.bfloat16() @ a.bfloat16()).float()
    assert ((rounded - a @ a).abs().max() / (a @ a).abs().max()).item() > 1e-4


@pytest.mark.parametrize("rows", [2, 7, 1280])
def test_fused_layers_are_the_usual_ones(rows: int) -> None:
    """With fused layers networks have the same results as without, and training keeps its numbers."""
    generator = torch.Generator().manual_seed(0)
    actor, critics = Actor(11, 3, generator=generator), Critics(11, 3, generator=generator)
    obs, noise = torch.randn(rows, 11, generator=generator), torch.randn(rows, 3, generator=generator)
    with torch.no_grad():
        plain = actor.act(obs, noise), *actor.sample(obs, noise), critics(obs, noise)
        with fast_float32_matmul():
            fused = actor.act(obs, noise), *actor.sample(obs, noise), critics(obs, noise)
    for one, other in zip(fused, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rows", "grad", "used"), [(2047, False, "bf16"), (2048, False, "none"), (2048, True, "bf16")])
def test_one_column_of_many_rows_has_the_usual_kernel(
    rows: int, grad: bool, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside the block and without gradients; the setting of everything else comes back."""
    seen, before, usual = [], setting(), torch.addmm

    def watched(*arguments: torch.Tensor) -> torch.Tensor:
        seen.append(setting())
        return usual(*arguments)

    x = torch.randn(rows, 32, generator=torch.Generator().manual_seed(0))
    weight, bias = x[:32, :1].clone(), x[0, :1].clone()
    expected = (x.double() @ weight.double() + bias.double()).squeeze(-1)
    monkeypatch.setattr(torch, "addmm", watched)
    monkeypatch.setattr(kernels, "_fused", True)
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]  # as above
    try:
        with torch.set_grad_enabled(grad):
            values = kernels.column(x, weight, bias)
        assert setting() == "bf16"
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before  # type: ignore[attr-defined]  # as above
    assert seen == [used]
    if used == "none":
        torch.testing.assert_close(values.double(), expected, rtol=1e-5, atol=1e-5)


def test_one_column_that_fails_gives_the_setting_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_fused", True)
    before = setting()
    with torch.no_grad(), pytest.raises(RuntimeError):
        kernels.column(torch.zeros(3000, 4), torch.zeros(5, 1), torch.zeros(1))
    assert setting() == before


def test_layers_are_fused_only_where_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(2, 3)
    assert not kernels.fusable(x)
    monkeypatch.setattr(kernels, "_fused", True)
    assert not kernels.fusable(x)  # gradients would be lost
    with torch.no_grad():
        assert kernels.fusable(x)
        assert [kernels.fusable(x[:rows]) for rows in (0, 1)] == [False, False]
        assert not kernels.fusable(x.double())
        assert not kernels.fusable(x.to("meta"))


def test_without_fused_layers_nothing_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: Any) -> torch.Tensor:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(kernels, "dense", gone)
    with fast_float32_matmul(), torch.no_grad():
        assert not kernels.fusable(torch.zeros(2, 3))


def test_fused_layers_that_round_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "dense", lambda x, weight, bias, activation: (x @ weight.T + bias).bfloat16().float())
    assert not kernels._fused_layers_agree()
