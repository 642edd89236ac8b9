"""Files made to do harm, and files that are only broken: pickles, archives and tensors. Nothing may come of them."""

import io
import pickle
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints.foreign_table import FILES

NAMES = (
    "os.system",
    "posix.system",
    "nt.system",
    "os.popen",
    "os.execv",
    "subprocess.Popen",
    "subprocess.call",
    "subprocess.check_output",
    "builtins.eval",
    "builtins.exec",
    "builtins.__import__",
    "builtins.getattr",
    "builtins.open",
    "builtins.compile",
    "builtins.map",
    "__builtin__.eval",
    "__builtin__.execfile",
    "shutil.rmtree",
    "importlib.import_module",
    "importlib._bootstrap._gcd_import",
    "runpy.run_path",
    "runpy._run_code",
    "pty.spawn",
    "socket.create_connection",
    "ctypes.CDLL",
    "pickle.loads",
    "_pickle.loads",
    "marshal.loads",
    "types.FunctionType",
    "types.CodeType",
    "code.interact",
    "operator.attrgetter",
    "operator.methodcaller",
    "functools.partial",
    "functools.reduce",
    "numpy.testing._private.utils.runstring",
    "numpy.load",
    "torch.load",
    "torch.hub.load",
    "torch.utils.cpp_extension.load",
    "timeit.timeit",
    "cProfile.run",
    "pip.main",
    "webbrowser.open",
    "multiprocessing.util.spawnv_passfds",
    "sys.exit",
    "pydoc.pipepager",
    "cloudpickle.loads",
    "joblib.load",
    "pandas.read_pickle",
    "urllib.request.urlopen",
    "pathlib.Path.touch",
    "collections.OrderedDict.update",
    "microbench.cli.main",
    "numpy.core.multiarray.fromfile",
    "torch._C._from_file",
)


def call(name: str, canary: Path, *, protocol: int) -> bytes:
    """A pickle that calls `name` with a command (the canary's), in the notation of that protocol."""
    module, _, function = name.rpartition(".")
    command = f"touch {canary}".encode()
    if protocol == 0:
        return b"c" + f"{module}\n{function}\n".encode() + b"(V" + command + b"\ntR."
    words = b"".join(b"\x8c" + bytes([len(word)]) + word for word in (module.encode(), function.encode()))
    return b"\x80\x04" + words + b"\x93(X" + struct.pack("<I", len(command)) + command + b"tR."


def inside(pickled: bytes, *, legacy: bool = False) -> bytes:
    """A torch file whose object is that pickle."""
    if not legacy:
        return files.zipped({"archive/data.pkl": pickled, "archive/version": b"3\n"})
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True, "protocol_version": 1001, "type_sizes": {}}]
    return b"".join(pickle.dumps(part, 2) for part in head) + pickled + pickle.dumps([], 2)


def in_a_policy(pickled: bytes) -> bytes:
    """A proper policy with one entry more."""
    body = pickle.dumps({"policy_model": {}, "val_model": {}}, 2)[:-1]
    return inside(body + b"X\x04\x00\x00\x00more" + pickled.removeprefix(b"\x80\x04")[:-1] + b"s.")


def calls(canary: Path) -> Iterator[tuple[str, bytes]]:
    for name in NAMES:
        yield f"{name}-0.pkl", call(name, canary, protocol=0)
        yield f"{name}-4.pkl", call(name, canary, protocol=4)
        yield f"{name}.pt", inside(call(name, canary, protocol=4))
        yield f"{name}-legacy.pt", inside(call(name, canary, protocol=0), legacy=True)
        yield f"{name}-more.model", in_a_policy(call(name, canary, protocol=4))
    inner = call("os.system", canary, protocol=0)
    yield "sb3.zip", files.zipped({"data": b"{}", "policy.pth": inside(inner)})
    yield "inst.pkl", b"(V" + b"touch canary\nios\nsystem\n."
    yield "nested.pkl", pickle.dumps({"policy_model": inner})
    yield "build.pkl", b"ccollections\nOrderedDict\n(X\x04\x00\x00\x00itemscos\nsystem\ndb."
    yield "poisoned.pkl", b"ccollections\nOrderedDict\nN}X\x0c\x00\x00\x00__defaults__K\x01s\x86b."


def _endless() -> bytes:
    """A module whose inner modules are all itself."""
    stub = b"clifelong_rl\nPolicy\n)\x81q\x00"
    state = (
        b"}(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_modules}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00uub"
    )
    return b"\x80\x02}X\x0e\x00\x00\x00trainer/policy" + stub + state + b"s."


def pickles() -> Iterator[tuple[str, bytes]]:
    """Pickles that exhaust, or refer to what is not there."""
    yield "memo.pkl", b"\x80\x02K\x01r\xff\xff\xff\x7f."
    yield "memo-text.pkl", b"I1\np99999999999\n."
    yield "bytearray.pkl", b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc."
    yield "text.pkl", b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"abc."
    yield "bytes.pkl", b"\x80\x04\x8e" + struct.pack("<Q", 2**63 - 1) + b"abc."
    yield "frame.pkl", b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N."
    yield "long.pkl", b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01."
    yield "digits.pkl", b"I" + b"9" * 100_000 + b"\n."
    yield "deep.pkl", b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    yield "deep-tuple.pkl", b"\x80\x02N" + b"\x85" * 100_000 + b"."
    yield "doubling.pkl", b"\x80\x02]" + b"2\x86" * 60 + b"."
    yield "itself.pkl", b"\x80\x02}q\x00X\x0e\x00\x00\x00GaussianPolicyh\x00s."
    yield "endless.pt", inside(_endless())
    yield "marks.pkl", b"(" * 100_000 + b"."
    yield "ext.pkl", b"\x80\x02\x82\x01."
    yield "persistent.pkl", b"Pevil\n."
    yield "buffer.pkl", b"\x80\x05\x97."
    yield "empty-stack.pkl", b"\x80\x02."
    yield "no-end.pkl", b"\x80\x02N"
    yield "protocol.pkl", b"\x80\xffN."
    yield "object-array.pkl", pickle.dumps({"GaussianPolicy": torch.zeros(0).numpy().astype(object)}, 2)


def zips() -> Iterator[tuple[str, bytes]]:
    """Archives that unpack to too much, or to somewhere else."""
    zeros = bytes(80 << 20)
    for name, inner in (("bomb.zip", "policy.pth"), ("bomb.pt", "archive/data.pkl")):
        yield name, zipped({inner: zeros, "data": b"{}"}, zipfile.ZIP_DEFLATED)
    yield (
        "bomb-inside.zip",
        zipped({"policy.pth": zipped({"archive/data.pkl": zeros}, zipfile.ZIP_DEFLATED), "data": b"{}"}),
    )
    yield "members.zip", zipped({f"m{number}": b"" for number in range(10_001)})
    for name in ("../data.pkl", "/etc/data.pkl", "a/../../data.pkl", "C:/data.pkl", "..\\data.pkl"):
        yield f"traversal-{name.replace('/', '_')}.zip", zipped({name: b"", "policy.pth": b"", "data": b"{}"})
    link = zipfile.ZipInfo("archive/data.pkl")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    yield "link.pt", zipped({link: b"/etc/passwd"})
    yield "bzip2.pt", zipped({"archive/data.pkl": b"N."}, zipfile.ZIP_BZIP2)
    yield "lzma.pt", zipped({"archive/data.pkl": b"N."}, zipfile.ZIP_LZMA)
    yield "no-pickle.pt", zipped({"archive/version": b"3\n"})
    yield "twice.pt", _twice()


def zipped(members: dict[str, bytes] | dict[zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _twice() -> bytes:
    """Two members of one name: readers disagree on which counts."""
    content = zipped({"archive/data.pkl": b"N.", "brchive/data.pkl": b"N."})
    return content.replace(b"brchive", b"archive")


def _tensor(offset: int, size: str, stride: str, count: int = 4) -> bytes:
    """A torch file with one tensor, described as told."""
    pid = f"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI{count}\ntQ".encode()
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + pid + f"I{offset}\n{size}{stride}I00\nNtR".encode()
    return files.zipped({"archive/data.pkl": b"(dS'l1.weight'\n" + rebuilt + b"s.", "archive/data/0": bytes(16)})


def tensors() -> Iterator[tuple[str, bytes]]:
    """Tensors larger than their storage, or of shapes that cannot be."""
    whole, one = "(I2\nI2\nt", "(I2\nI1\nt"
    yield "huge.pt", _tensor(0, f"(I{2**40}\nI{2**20}\nt", "(I0\nI0\nt")
    yield "overflow.pt", _tensor(0, f"(I{2**62}\nI4\nt", "(I0\nI0\nt")
    yield "beyond.pt", _tensor(3, whole, one)
    yield "before.pt", _tensor(-1, whole, one)
    yield "backwards.pt", _tensor(3, whole, "(I-1\nI-1\nt")
    yield "negative.pt", _tensor(0, "(I-2\nI-2\nt", one)
    yield "dimensions.pt", _tensor(0, "(" + "I1\n" * 99 + "t", "(" + "I1\n" * 99 + "t")
    yield "uneven.pt", _tensor(0, whole, "(I1\nt")
    yield "count.pt", _tensor(0, whole, one, 2**40)
    yield "negative-count.pt", _tensor(0, whole, one, -4)
    yield "half-count.pt", _tensor(0, "(F1.5\nI2\nt", one)
    yield "missing-storage.pt", _tensor(0, whole, one).replace(b"data/0", b"data/9")
    yield (
        "nan.pth",
        files.torch_bytes({f"l{i}.{part}": value * torch.nan for i in (1, 2, 3) for part, value in _parts(i)}),
    )


def _parts(number: int) -> list[tuple[str, torch.Tensor]]:
    layers = files.mlp(names=("l1", "l2", "l3"))
    return [(part, layers[f"l{number}.{part}"]) for part in ("weight", "bias")]


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def name_in(content: bytes, end: str) -> str:
    return next(name for name in members(content) if name.endswith(end))


def broken() -> Iterator[tuple[str, bytes]]:
    """Proper files that were cut off, damaged, or written by another machine."""
    for name, make in FILES.items():
        content = make()
        for part in (1, 2, 3):
            yield f"cut-{part}-{name}", content[: len(content) * part // 4]
    for name in ("sb3-ppo.zip", "sa-ppo.model", "td3.pth"):
        content = FILES[name]()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            largest = max(archive.infolist(), key=lambda info: info.file_size)
        place = largest.header_offset + largest.file_size // 2 + 64
        yield f"flipped-{name}", content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :]
    td3 = FILES["td3.pth"]()
    yield "big-endian.pth", zipped(members(td3) | {name_in(td3, "byteorder"): b"big"})
    yield (
        "big-endian-legacy.pth",
        inside(b"N.", legacy=True).replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"),
    )
    yield "misfit.pth", files.torch_bytes(files.mlp(names=("l1", "l2", "l3")) | files.weights(4, 3, names=["l2"]))
    yield "empty", b""
    yield "zeros", bytes(4096)
    yield "text", b"no policy at all\n" * 50
    yield "html.zip", b"PK\x03\x04<html>" * 50
    yield "hdf5.h5", b"\x89HDF\r\n\x1a\n" + bytes(200)
    yield "other.h5", files.hdf5({"observations": 1.0})
    yield "header.safetensors", (2**62).to_bytes(8, "little") + b'{"a":1}'
    yield "onnx.onnx", b"\x08\x07\x12\x07pytorch" + bytes(64)
    for number in range(10):  # nothing but noise
        generator = torch.Generator().manual_seed(number)
        yield (
            f"noise-{number}",
            torch.randint(0, 256, (2000,), generator=generator, dtype=torch.uint8).numpy().tobytes(),
        )
