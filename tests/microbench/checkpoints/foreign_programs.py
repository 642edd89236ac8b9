"""Small policies stored as programs: TorchScript and ONNX, made by torch and by hand."""

import importlib.util
import io
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.microbench.checkpoints.foreign_files import ACTIONS, OBS, WIDTH, Foreign, mlp, saved, weights, zipped

JIT: Any = torch.jit  # has no types


class Program(torch.nn.Module):
    """An actor with everything that policies compute: normalised observations, a squashed mean, a spread."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.trunk = torch.nn.Sequential(
            torch.nn.Linear(OBS, WIDTH), torch.nn.ReLU(), torch.nn.LayerNorm(WIDTH), torch.nn.Linear(WIDTH, WIDTH)
        )
        self.head = torch.nn.Linear(WIDTH, 2 * ACTIONS)
        self.mean = torch.nn.Parameter(torch.linspace(-1, 1, OBS))
        self.widths = torch.nn.Parameter(torch.tensor([1.0, 2.0, 0.5]))

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        z = ((obs - self.mean) / 2.0).clamp(-10, 10)
        mean, log_std = torch.chunk(self.head(torch.nn.functional.elu(self.trunk(z))), 2, -1)
        return torch.tanh(mean) * self.widths + 0.1, torch.clamp(log_std, -20, 2).exp()


def torchscript(kind: str = "traced", program: Callable[[], torch.nn.Module] = Program) -> bytes:
    """The bytes that `torch.jit.save` writes for a module that is traced, scripted or frozen."""
    module, buffer = program().eval(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would like to see another exporter used
        script = JIT.trace(module, torch.zeros(1, OBS)) if kind == "traced" else JIT.script(module)
        JIT.save(JIT.freeze(script) if kind == "frozen" else script, buffer)
    return buffer.getvalue()


def script(body: str, **attributes: Any) -> bytes:
    """A TorchScript file of one method, written by hand; `weight` (ACTIONS, OBS) is there unless said otherwise."""
    weight = weights(OBS, ACTIONS, names=["a"])["a.weight"]
    members = _members(saved(Foreign("__torch__.Net", **({"weight": weight} | attributes))))
    text = "class Net(Module):\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n"
    text += "".join(f"    {line}\n" for line in body.splitlines())
    constants = {"archive/constants.pkl": pickle.dumps((), 2), "archive/code/__torch__.py": text.encode()}
    return zipped(members | constants)


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def onnx(nodes: list[Any], stored: Mapping[str, Any], *, output: str = "action", opset: int = 18) -> bytes:
    """A graph obs (B, OBS) → `output` (B, ACTIONS)."""
    from onnx import TensorProto, helper, numpy_helper

    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "policy",
        [info("obs", TensorProto.FLOAT, ["batch", OBS])],
        [info(output, TensorProto.FLOAT, ["batch", ACTIONS])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return bytes(model.SerializeToString())


def onnx_actor() -> bytes:
    """Two layers, a squashed mean and a spread that is not asked for."""
    from onnx import helper

    tensors = mlp(names=("l1", "l2", "l3"))
    node = helper.make_node
    nodes = [
        node("Gemm", ["obs", "l1.weight", "l1.bias"], ["a"], transB=1),
        node("Relu", ["a"], ["b"]),
        node("Gemm", ["b", "l2.weight", "l2.bias"], ["c"], transB=1),
        node("Elu", ["c"], ["d"]),
        node("Gemm", ["d", "l3.weight", "l3.bias"], ["e"], transB=1),
        node("RandomNormalLike", ["e"], ["noise"]),
        node("Tanh", ["e"], ["action"]),
    ]
    return onnx(nodes, {name: value.numpy() for name, value in tensors.items()})


HAS_ONNX = importlib.util.find_spec("onnx") is not None
