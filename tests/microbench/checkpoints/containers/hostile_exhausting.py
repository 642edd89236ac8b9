"""Small files made to fill the memory, to take for ever or to end the process: each in a few kilobytes."""

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import torch
from safetensors.torch import save

from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints import foreign_programs as programs
from tests.microbench.checkpoints.containers.hostile_files import inside, members, zipped

MODULUS = 2**61 - 1  # of Python's hash of integers


def text(value: str | bytes) -> bytes:
    """The opcode of a text, in a pickle."""
    raw = value.encode() if isinstance(value, str) else value
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    """The opcode of an integer."""
    raw = pickle.encode_long(value)
    return b"\x8a" + bytes([len(raw)]) + raw


def folded(times: int, *, tuples: bool = False) -> bytes:
    """Opcodes of an object of `times` levels, each holding the one below twice: small until it is unfolded."""
    content = b")q\x00" if tuples else b"]q\x00"
    for place in range(times):
        twice = b"h%c" % place * 2
        content += (b"0" + twice + b"\x86" if tuples else b"0](" + twice + b"e") + b"q%c" % (place + 1)
    return content


def keys() -> Iterator[tuple[str, bytes]]:
    """Keys and members that hash for ever, collide, or whose hash ends the process."""
    deep = b"N" + b"\x85" * 400_000
    yield "deep-key.pkl", b"\x80\x02}" + deep + b"Ns."
    yield "deep-member.pkl", b"\x80\x04\x8f(" + deep + b"\x90."
    yield "deep-frozen.pkl", b"\x80\x04(" + deep + b"\x91."
    yield "deep-pair.pkl", b"\x80\x02ccollections\nOrderedDict\n]" + deep + b"N\x86a\x85R."
    yield "folded-key.pkl", b"\x80\x02}" + folded(100, tuples=True) + b"Ns."
    colliding = [number(MODULUS * factor) for factor in range(1, 60_000)]
    yield "colliding-keys.pkl", b"\x80\x02}(" + b"".join(one + b"N" for one in colliding) + b"u."
    yield "colliding-members.pkl", b"\x80\x04\x8f(" + b"".join(colliding) + b"\x90."
    yield "colliding-dict.pkl", b"(" + b"".join(one + b"N" for one in colliding) + b"d."
    yield "colliding-frozen.pkl", b"\x80\x04(" + b"".join(colliding) + b"\x91."
    pairs = b"".join(one + b"N\x86" for one in colliding)
    yield "colliding-pairs.pkl", b"\x80\x02ccollections\nOrderedDict\n](" + pairs + b"e\x85R."
    yield "names.pkl", b"\x80\x02(" + b"".join(b"cmine\nClass%d\n" % place for place in range(60_000)) + b"l."
    yield "long-name.pkl", b"\x80\x02cgym.envs.mujoco." + b"a" * 200_000 + b"\nEnvE\n."


def constructors() -> Iterator[tuple[str, bytes]]:
    """Harmless constructors, called with what makes them harmful."""
    array = b"cnumpy.core.numeric\n_frombuffer\n"
    dtype = b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85R"
    for size in (10**10, 2**62, -5):
        yield (
            f"bytes-{size}.pkl",
            b"\x80\x02" + array + b"(" + number(size) + dtype + number(size) + b"\x85X\x01\x00\x00\x00CtR.",
        )
    scalar = b"cnumpy.core.multiarray\nscalar\n"
    yield "scalar.pkl", b"\x80\x02" + scalar + dtype + number(10**10) + b"\x86R."
    yield (
        "shape-text.pkl",
        b"\x80\x02" + array + b"(" + b"C\x01a" + dtype + text("a" * 9) + number(10**10) + b"\x86X\x01\x00\x00\x00CtR.",
    )
    yield "dtype-folded.pkl", b"\x80\x02" + folded(60) + b"0cnumpy\ndtype\nh\x3c\x85R."
    yield "codec-folded.pkl", b"\x80\x02" + folded(60) + b"0c_codecs\nencode\n" + text("a") + b"h\x3c\x86R."
    repeated = b"\x85q\x01(" + b"h\x00h\x01R" * 20_000
    yield "encoded.pkl", b"\x80\x02c_codecs\nencode\nq\x00" + text("a" * 200_000) + repeated + b"l."
    yield "reduced-lists.pt", inside(b"\x80\x02ctorch\nSize\nq\x00(" + b"N" * 100_000 + b"t" + repeated + b"l.")
    yield "frozen-self.pkl", b"\x80\x02]q\x00h\x00a."
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\nq\x00((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    tensor += text("0") + text("cpu") + number(10_000) + b"tQK\x00" + number(10_000) + b"\x85K\x01\x85\x89Nt"
    views = b"q\x01(" + b"h\x00h\x01R" * 100_000
    yield "views.pt", _torch(b"\x80\x02" + tensor + views + b"l.", 40_000)
    named = b"".join(b"X\x08\x00\x00\x00l%07dh\x00h\x01R" % place for place in range(60_000))
    yield "named-views.pt", _torch(b"\x80\x02" + tensor + b"q\x010(" + named + b"d.", 40_000)
    built = tensor + b"R(" + tensor.replace(b"q\x00", b"") + b"R" + b"K\x00" + number(2**40) + b"\x85K\x01\x85tb."
    yield "rebuilt.pt", _torch(b"\x80\x02" + built, 40_000)
    for key in (b"]", folded(100, tuples=True), b"N"):
        pid = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + key + text("cpu") + number(4) + b"tQ"
        yield f"storage-{len(key)}-legacy.pt", inside(b"\x80\x02" + pid + b".", legacy=True)
    statistics = b"\x80\x02cstable_baselines3.common.vec_env\nVecNormalize\n)\x81"
    yield (
        "folded-statistics.pkl",
        statistics
        + b"}("
        + text("obs_rms")
        + b"ca\nB\n)\x81}("
        + text("mean")
        + folded(40)
        + text("var")
        + b"h\x28ubub.",
    )


def _torch(pickled: bytes, size: int) -> bytes:
    return zipped({"archive/data.pkl": pickled, "archive/data/0": bytes(size)}, zipfile.ZIP_DEFLATED)


def archives() -> Iterator[tuple[str, bytes]]:
    """Archives within archives, and descriptions that are longer than a file."""
    zeros = zipped({"archive/data.pkl": bytes(70 << 20)}, zipfile.ZIP_DEFLATED)
    nested = zipped({"policy.pth": zeros, "data": b"{}"}, zipfile.ZIP_DEFLATED)
    yield "nested.zip", nested
    yield "nested.d3", pickle.dumps({"torch": zeros, "config": "{}"})
    brackets = b"[" * 5_000_000
    yield "deep-json.zip", zipped({"data": brackets, "policy.pth": files.torch_bytes({})}, zipfile.ZIP_DEFLATED)
    wide = b"{" + b",".join(b'"%d":[]' % place for place in range(900_000)) + b"}"
    yield "wide-json.zip", zipped({"data": wide, "policy.pth": files.torch_bytes({})}, zipfile.ZIP_DEFLATED)
    entry = zipped({"a": b""})
    head, rest = entry[: entry.index(b"PK\x01\x02")], entry[entry.index(b"PK\x01\x02") : entry.index(b"PK\x05\x06")]
    directory = rest * 300_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), len(head), 0)
    yield "directory.zip", head + directory + end


def texts() -> Iterator[tuple[str, str]]:
    """Bodies of TorchScript programs."""
    yield "list-repetition", "_0 = torch.mul([x], 9999999999)\nreturn x"
    yield "text-repetition", "_0 = torch.mul('a', 9999999999)\nreturn x"
    yield "text-doubling", "_0 = 'a'\n" + "_0 = torch.add(_0, _0)\n" * 60 + "return x"
    yield "alpha", "_0 = torch.add('a', 'b', alpha=9999999999)\nreturn x"
    yield "rsub", "_0 = torch.rsub(9999999999, 'a', 1)\nreturn x"
    yield "zeros-text", "_0 = torch.zeros(['a', 9999999999])\nreturn x"
    wide = "_0 = torch.expand(torch.reshape(x, [-1, 1]), [-1, 100000])\n"
    for name in ("split(_1, 1)", "split(_1, 1, 0)", "chunk(_1, 99999999)", "unbind(_1)"):
        yield name[:5] + name[-3:-1], wide + f"_1 = torch.reshape(_0, [-1])\n_2 = torch.{name}\nreturn x"
    yield "unpacked", wide + "_1 = torch.reshape(_0, [-1])\na, b = _1\nreturn x"
    yield "starred", wide + "_1 = torch.broadcast_tensors(torch.reshape(_0, [-1]))\nreturn x"
    lists = "_0 = [x]\n" + "_0 = [_0, _0]\n" * 60
    yield "unfolded", lists + "_1 = torch.len(_0)\nreturn x"
    yield "settled", "_0 = [x]\n" + "_0 = torch.detach([_0, _0])\n" * 60 + "return x"
    yield "compared", lists + lists.replace("_0", "_1") + "return torch.eq(_0, _1)"
    yield "product", "_0 = torch.ones([1000, 1000])\n" + "_1 = torch.matmul(_0, _0)\n" * 2000 + "return x"
    small = "_0 = torch.ones([1, 1000000])\n_1 = torch.expand(torch.ones([1000000, 1]), [1000000, 4])\n"
    yield "small-product", small + "_2 = torch.matmul(_0, _1)\n" * 3000 + "return x"
    yield "one-statement", "_0 = [" + "x, " * 60_000 + "]\n" + "_1 = torch.len(_0)\n" * 100 + "return x"
    yield "default", "return x"
    many = "_0 = torch.mul(torch.reshape(x, [-1, 11, 1]), torch.ones([1, 1, 100000]))\n"
    yield "wide-rows", many + "_1 = torch.relu(_0)\nreturn torch.linear(x, self.weight)"
    yield "integer-stack", "_0 = torch.stack([" + "self.index, " * 60_000 + "])\nreturn x"
    cube = "_0 = torch.reshape(self.index, [1000, 1, 1])\n_1 = torch.reshape(self.index, [1, 1000, 1])\n"
    yield "integer-cube", cube + "_2 = torch.where(torch.eq(_0, _1), self.index, _0)\nreturn x"


def scripts() -> Iterator[tuple[str, bytes]]:
    """TorchScript archives with such programs or with lists that hold one another."""
    for name, body in texts():
        yield f"exhausting-{name}.pt", programs.script(body, index=torch.arange(1000))
    good = members(programs.script("return torch.linear(x, self.weight)"))
    code = good["archive/code/__torch__.py"].replace(
        b"x: Tensor", b"x: Tensor, y: int={" + b",".join(b"%d" % (MODULUS * factor) for factor in range(1, 5000)) + b"}"
    )
    yield "colliding-default.pt", zipped(good | {"archive/code/__torch__.py": code})
    constants = b"\x80\x02" + folded(60) + b"\x85."
    used = good["archive/code/__torch__.py"].replace(b"return", b"_0 = CONSTANTS.c0\n    return")
    yield "folded-constants.pt", zipped(good | {"archive/constants.pkl": constants, "archive/code/__torch__.py": used})
    statements = b"def f(x):\n" + b"  x\n" * 40_000 + b"  return x\n"
    texts_of = {f"archive/code/__torch__/m{place}.py": statements for place in range(200)}
    calls = "\n".join(f"_{place} = __torch__.m{place}.f(x)" for place in range(200)) + "\nreturn x"
    many = members(programs.script(calls)) | texts_of
    yield "many-texts.pt", zipped(many, zipfile.ZIP_DEFLATED)
    sizes = {f"w{place}": torch.zeros(place + 20, 1) for place in range(45)}
    yield (
        "many-sizes.pt",
        programs.script("_0 = x\n" + "_0 = torch.relu(_0)\n" * 3900 + "return torch.len(_0)", **sizes),
    )


def graphs() -> Iterator[tuple[str, bytes]]:
    """ONNX files; they are made by the package `onnx`."""
    if not programs.HAS_ONNX:
        return
    from onnx import ModelProto, helper

    node = helper.make_node
    weight = files.weights(files.OBS, files.ACTIONS, names=["a"])["a.weight"].numpy()
    for name, divisor in (("minus", -1), ("zero", 0)):
        numbers = {"w": weight, "a": np.array([-(2**63)] * 64), "b": np.array([divisor] * 64)}
        picked = [node("Gather", ["w", "c"], ["f"]), node("Gemm", ["obs", "f"], ["action"], transB=1)]
        yield f"onnx-div-{name}.onnx", programs.onnx([node("Div", ["a", "b"], ["c"]), *picked], numbers)
    cube = {
        f"i{axis}": np.arange(1000).reshape([1000 if place == axis else 1 for place in range(3)]) for axis in range(3)
    }
    for kind in ("Max", "Sum", "Min"):
        nodes = [node(kind, ["i0", "i1", "i2"], ["c"]), node("Reshape", ["obs", "c"], ["action"])]
        yield f"onnx-cube-{kind}.onnx", programs.onnx(nodes, cube)
    relus = [node("Relu", ["obs" if i == 0 else f"r{i}"], [f"r{i + 1}"]) for i in range(4900)]
    many = {f"s{place}": np.zeros((place + 20, 1), np.float32) for place in range(45)}
    nodes = [*relus, node("Gather", ["r4900", "none"], ["action"], axis=7)]
    model = ModelProto.FromString(programs.onnx(nodes, many | {"none": np.array([0])}))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "sensors"
    yield "onnx-sizes.onnx", model.SerializeToString()
    wide = [node("Expand", ["obs", "shape"], ["x"]), node("Split", ["x"], ["action"], axis=0, num_outputs=2**20)]
    yield "onnx-split.onnx", programs.onnx(wide, {"shape": np.array([2**20, 1, 11])})
    ones = {"w": np.ones((1000, 1000), np.float32)}
    products = [node("MatMul", ["w", "w"], [f"p{i}"]) for i in range(4000)]
    summed = node("Sum", [f"p{i}" for i in range(4000)], ["q"])
    yield "onnx-products.onnx", programs.onnx([*products, summed, node("MatMul", ["obs", "q"], ["action"])], ones)
    huge = node("Gather", ["obs", "i"], ["action"], floats=[0.0] * 150_000)
    yield "onnx-attribute.onnx", programs.onnx([huge], {"i": np.array([0])})
    ints = node("Squeeze", ["obs"], ["action"], axes=[0] * 150_000)
    yield "onnx-integers.onnx", programs.onnx([ints], {"i": np.array([0])})


def hdf5() -> Iterator[tuple[str, bytes]]:
    """hdf5 files whose groups and chunks are more than they look."""

    def file(fill: Callable[[Any], None]) -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            fill(file)
        return buffer.getvalue()

    def linked(file: Any) -> None:
        group = file.create_group("snapshots/0")
        for _ in range(10):
            inner = group.create_group("a")
            for name in "bcdefghijk":
                group[name] = inner
            group = inner

    def looped(file: Any) -> None:
        file.create_group("snapshots")["again"] = file["/"]

    def chunk(file: Any) -> None:
        place = "metadata/policy/fc0/weight"
        options: dict[str, Any] = {"maxshape": (None,), "chunks": (2**25,), "compression": "gzip"}
        file.create_dataset(place, (4,), "f8", **options)[:] = 1.0

    def many(file: Any) -> None:
        weight = file.create_dataset("metadata/policy/fc0/weight", data=np.zeros((3000, 3000)), compression="gzip")
        for place in range(1, 200):
            file[f"metadata/policy/fc{place}/weight"] = weight

    def bomb(file: Any) -> None:
        data = file.create_dataset("metadata/policy/fc0/weight", (4,), "f8", chunks=(4,), compression="gzip")
        data.id.write_direct_chunk((0,), zlib.compress(bytes(150 << 20), 1))

    def twice(file: Any) -> None:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((4,))
        plan.set_deflate(4)
        plan.set_deflate(4)
        file.create_group("metadata/policy/fc0")
        place = h5py.h5d.create(
            file["metadata/policy/fc0"].id, b"weight", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((4,)), plan
        )
        h5py.Dataset(place)[:] = 1.0

    for fill in (linked, looped, chunk, many, bomb, twice):
        yield f"{fill.__name__}.hdf5", file(fill)


def described() -> Iterator[tuple[str, bytes]]:
    """Files of ours: long headers, and sizes that are built before anybody looks whether they are there."""
    tensors = {"obs_std": torch.ones(11), "actor.action_scale": torch.ones(3)}
    common: dict[str, Any] = {
        "family": "microbench",
        "format": 1,
        "env_id": "Hopper-v4",
        "algorithm": "a",
        "dataset": "d",
    }
    common |= {"train_seed": 0, "score": None}
    for name, hidden in (
        ("wide", [30_000] * 9),
        ("long", [1] * 100_000),
        ("zero", [0]),
        ("negative", [-9, 9]),
        ("huge", [2**62]),
    ):
        yield f"own-{name}.safetensors", save(tensors, {"microbench": json.dumps(common | {"hidden": hidden})})
    yield (
        "own-tensors.safetensors",
        save({f"t{place}": torch.zeros(0) for place in range(20_000)}, {"microbench": "{}"}),
    )
    yield "own-deep.safetensors", save(tensors, {"microbench": "[" * 200_000})


def exhausting() -> dict[str, bytes]:
    """All of them by name."""
    return dict([*keys(), *constructors(), *archives(), *scripts(), *graphs(), *hdf5(), *described()])
