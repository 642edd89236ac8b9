"""The content of a policy file before its family is known; its first bytes decide the container, never its name."""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from microbench.checkpoints.containers import pickles, torch_files
from microbench.checkpoints.containers.archives import Archive
from microbench.checkpoints.containers.budget import accounted, pay
from microbench.checkpoints.containers.damage import telling
from microbench.errors import UserError

MOST_BYTES = 2**30
MOST_JSON = 2**23


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """A file in memory.

    kind     safetensors, zip, torch, torchscript, onnx, pickle, hdf5 or unknown
    tree     the object in a torch file or a pickle, with stubs in place of foreign objects
    archive  the members of a zip file
    tensors  the tree, if it is a flat dict of tensors
    """

    path: Path
    raw: bytes
    kind: str
    tree: Any = None
    archive: Archive | None = None
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The hash of the file."""
        return hashlib.sha256(self.raw).hexdigest()

    def entry(self, name: str) -> Any:
        """An entry of the stored dict; None without such an entry."""
        return self.tree.get(name) if isinstance(self.tree, dict) else None


def read_content(path: Path) -> Content:
    """Read a file once and recognise its container.

    Raises:
        UserError: the file is too large, damaged, or holds an object that no policy needs.
        OSError: the file cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} has more than {MOST_BYTES >> 20} MiB; expected a policy file of at most that size.")
    raw = path.read_bytes()
    with telling(path), accounted(len(raw)):
        return parse(path, raw)


def parse(path: Path, raw: bytes) -> Content:
    """The content of these bytes; `path` is for messages. Raises exceptions of `DAMAGE`."""
    if zipfile.is_zipfile(io.BytesIO(raw)) and raw[:2] == b"PK":
        archive = Archive(raw)
        if f"{archive.root}constants.pkl" in archive:
            return Content(path=path, raw=raw, kind="torchscript", archive=archive)
        if f"{archive.root}data.pkl" in archive:
            return _stored(path, raw, "torch", torch_files.read_zip(archive))
        return Content(path=path, raw=raw, kind="zip", archive=archive)
    if raw.startswith(b"\x89HDF\r\n\x1a\n"):
        return Content(path=path, raw=raw, kind="hdf5")
    if raw.startswith(torch_files.LEGACY_START):
        return _stored(path, raw, "torch", torch_files.read_legacy(raw))
    if raw[8:10] == b'{"' and int.from_bytes(raw[:8], "little") < len(raw):
        return Content(path=path, raw=raw, kind="safetensors")
    if looks_like_onnx(raw):
        return Content(path=path, raw=raw, kind="onnx")
    if raw[:1] == b"\x80" or (raw[:1] in (b"(", b"c", b"}", b"]") and raw.endswith(b".")):
        return _stored(path, raw, "pickle", pickles.read_pickle(raw))
    return Content(path=path, raw=raw, kind="unknown")


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text; ValueError if the text is longer than a policy's description."""
    if len(text) > MOST_JSON:
        raise ValueError("a description longer than a policy's")
    pay(size=16 * len(text), steps=len(text) // 10)
    return json.loads(text)


def looks_like_onnx(raw: bytes) -> bool:
    """Whether the bytes begin like ONNX's ModelProto: a small version (field 1), then one of its other fields."""
    return raw[:1] == b"\x08" and 2 < int.from_bytes(raw[1:2]) < 64 and raw[2:3] in b"\x12\x1a\x22\x28\x32\x3a\x42"


def _stored(path: Path, raw: bytes, kind: str, tree: Any) -> Content:
    return Content(path=path, raw=raw, kind=kind, tree=tree, tensors=state_dict(tree))


def state_dict(tree: Any) -> dict[str, Tensor]:
    """The tree itself if it is a flat dict of tensors, else an empty dict."""
    if isinstance(tree, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in tree.items()):
        return dict(tree)
    return {}
