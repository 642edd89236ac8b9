"""TorchScript and ONNX files made to do harm, and broken ones."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints import foreign_programs as programs
from tests.microbench.checkpoints.containers.hostile_files import call, members, zipped


def texts(canary: Path) -> Iterator[tuple[str, str]]:
    """Bodies of TorchScript programs that reach for what no policy needs, or never end."""
    yield "system", f"return __import__('os').system('touch {canary}')"
    yield "open", f"return open('{canary}', 'w')"
    yield "exec", f"return exec('import os; os.system(\"touch {canary}\")')"
    yield "class", "return x.__class__.__mro__[1].__subclasses__()"
    yield "getattr", "return getattr(self, '__class__')"
    yield "getattr-tensor", "return getattr(x, 'data')"
    yield "method", "return x.numpy()"
    yield "tofile", f"return x.tofile('{canary}')"
    yield "save", f"return torch.save(x, '{canary}')"
    yield "from-file", f"return torch.from_file('{canary}', True, 33)"
    yield "library", f"return torch.ops.load_library('{canary}')"
    yield "import", "import os\nreturn x"
    yield "lambda", "return (lambda y: y)(x)"
    yield "comprehension", "return [x for _ in range(10**9)]"
    yield "while", "while True:\n  x = x\nreturn x"
    yield "star", "return torch.cat(*[x, x])"
    yield "format", "return f'{x}'"
    yield "walrus", "return (y := x)"
    yield "forever", "return (self).forward(x, )"
    yield "wider", "return torch.expand(x, [99999999999, 2, 11])"
    yield "zeros", "return torch.zeros([99999999999, 11])"
    yield "outer", "_0 = torch.reshape(x, [-1, 1])\n" + "_0 = torch.matmul(_0, torch.t(_0))\n" * 30 + "return _0"
    yield "doubling", "_0 = x\n" + "_0 = torch.cat([_0, _0], 1)\n" * 60 + "return _0"
    yield "number", "_0 = 9\n" + "_0 = torch.mul(_0, _0)\n" * 40 + "return torch.mul(x, _0)"
    yield "power", "return torch.mul(x, torch.pow(9, 999999999))"
    yield "digits", f"return torch.mul(x, {'9' * 5000})"
    yield "constant", "return CONSTANTS.c99"
    yield "no-class", "return __torch__.nowhere.Other(x)"
    yield "poison", "_0 = torch.zero_(self.weight)\nreturn torch.linear(x, self.weight)"
    yield "deep", "return " + "torch.relu(" * 150 + "x" + ")" * 150
    yield "deeper", "return " + "torch.relu(" * 50_000 + "x" + ")" * 50_000
    yield "minus", "return " + "-" * 100_000 + "x"
    yield "chain", "return x" + ".a" * 100_000
    yield "long", "_0 = x\n" * 200_000 + "return x"
    yield "no-text", "return )("


def torchscripts(canary: Path) -> Iterator[tuple[str, bytes]]:
    """TorchScript archives, with such texts, or with pickles or archives that are no better."""
    for name, body in texts(canary):
        yield f"script-{name}.pt", programs.script(body)
    good = members(programs.script("return torch.linear(x, self.weight)"))
    calls = call("os.system", canary, protocol=4)
    yield "script-data.pt", zipped(good | {"archive/data.pkl": calls})
    yield "script-constants.pt", zipped(good | {"archive/constants.pkl": calls})
    yield "script-no-constants.pt", zipped(good | {"archive/constants.pkl": b"N."})
    yield "script-no-text.pt", zipped({name: part for name, part in good.items() if "code" not in name})
    yield "script-not-utf8.pt", zipped(good | {"archive/code/__torch__.py": b"\xff\xfe class"})
    yield "script-zeros.pt", zipped(good | {"archive/code/__torch__.py": bytes(100)})
    yield "script-no-module.pt", zipped(good | {"archive/data.pkl": b"N."})
    yield "script-nan.pt", programs.script("return torch.linear(x, self.weight)", weight=torch.full((3, 11), torch.nan))
    twice = "class Net(Module):\n  def f0(self, x):\n    return torch.linear(x, self.weight)\n"
    for number in range(1, 50):  # 2^49 calls
        inner = f"(self).f{number - 1}"
        twice += f"  def f{number}(self, x):\n    return torch.add({inner}(x, ), {inner}(x, ))\n"
    twice += "  def forward(self, x):\n    return (self).f49(x, )\n"
    yield "script-twice.pt", zipped(good | {"archive/code/__torch__.py": twice.encode()})
    yield (
        "script-two-inputs.pt",
        zipped(good | {"archive/code/__torch__.py": twice.replace("self, x", "self, x, y").encode()}),
    )
    yield "script-dict.pt", zipped(members(files.saved({"a": 1})) | {"archive/constants.pkl": pickle.dumps((), 2)})


def graphs() -> Iterator[tuple[str, bytes]]:
    """ONNX files that refer to others, exhaust, or are no policies; most are made by the package `onnx`."""
    yield "onnx-fields.onnx", b"\x08\x08\x12\x07pytorch" + b"\x3a\x7f" + bytes(40)
    yield "onnx-deep.onnx", b"\x08\x08" + _nested(300)
    if not programs.HAS_ONNX:
        return
    from onnx import ModelProto, helper

    node, weight = helper.make_node, files.weights(files.OBS, files.ACTIONS, names=["a"])["a.weight"].numpy()
    last = node("Gemm", ["obs", "w"], ["action"], transB=1)
    yield (
        "onnx-nodes.onnx",
        programs.onnx([node("Relu", ["obs"], [f"r{i}"]) for i in range(5001)] + [last], {"w": weight}),
    )
    for kind in ("If", "Loop", "Scan", "SequenceMap", "StringNormalizer", "RandomNormal", "Multinomial", "Xyz"):
        yield f"onnx-{kind}.onnx", programs.onnx([node(kind, ["obs"], ["action"])], {})
    yield "onnx-domain.onnx", programs.onnx([node("Gemm", ["obs", "w"], ["action"], domain="com.evil")], {"w": weight})
    yield "onnx-old.onnx", programs.onnx([last], {"w": weight}, opset=6)
    yield "onnx-cycle.onnx", programs.onnx([node("Relu", ["action"], ["action"])], {})
    yield "onnx-nothing.onnx", programs.onnx([], {})
    yield "onnx-nan.onnx", programs.onnx([last], {"w": weight * float("nan")})
    wide = node("Expand", ["obs", "shape"], ["action"])
    for name, shape in (("wide", [2**40, 1, 11]), ("negative", [-5, -7]), ("many", list(range(2000)))):
        yield f"onnx-{name}.onnx", programs.onnx([wide], {"shape": np.array(shape, np.int64)})
    filled = node("ConstantOfShape", ["shape"], ["action"])
    yield "onnx-filled.onnx", programs.onnx([filled], {"shape": np.array([2**40], np.int64)})
    chain = [node("Concat", [f"c{i}"] * 2, [f"c{i + 1}"], axis=1) for i in range(60)]
    yield "onnx-grows.onnx", programs.onnx([*chain, node("Relu", ["c60"], ["action"])], {"c0": weight})
    yield (
        "onnx-backwards.onnx",
        programs.onnx(
            [node("Slice", ["obs", "s", "e", "a", "b"], ["action"])],
            {name: np.array([number]) for name, number in (("s", 3), ("e", -99), ("a", 1), ("b", -1))},
        ),
    )
    for name, changes in LIES.items():
        model = ModelProto.FromString(programs.onnx([last], {"w": weight}))
        changes(model.graph.initializer[0])
        yield f"onnx-{name}.onnx", model.SerializeToString()


def _elsewhere(tensor: Any) -> None:
    tensor.data_location = 1
    tensor.external_data.add(key="location", value="../secret")
    tensor.ClearField("raw_data")


LIES: dict[str, Callable[[Any], object]] = {
    "elsewhere": _elsewhere,
    "longer": lambda tensor: tensor.dims.append(2**40),
    "overflow": lambda tensor: tensor.dims.extend([2**40, 2**40, 2**40]),
    "negative-size": lambda tensor: tensor.dims.append(-1),
    "dimensions": lambda tensor: tensor.dims.extend([1] * 99),
    "text": lambda tensor: setattr(tensor, "data_type", 8),
    "complex": lambda tensor: setattr(tensor, "data_type", 15),
    "no-type": lambda tensor: setattr(tensor, "data_type", 99),
    "cut": lambda tensor: setattr(tensor, "raw_data", tensor.raw_data[:-3]),
    "renamed": lambda tensor: setattr(tensor, "name", "v"),
}
"""What a stored tensor can say that is not so."""


def _nested(depth: int) -> bytes:
    """A graph in an attribute of a node of a graph, and so on."""
    inner = b""
    for _ in range(depth):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # attribute.g, node.attribute, graph.node
            inner = tag + _varint(len(inner)) + inner
    return b"\x3a" + _varint(len(inner)) + inner


def _varint(number: int) -> bytes:
    digits = b""
    while number > 127:
        digits, number = digits + bytes([number & 127 | 128]), number >> 7
    return digits + bytes([number])
