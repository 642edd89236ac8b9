"""A policy file as it is before anybody knows its family: its container is told by its first bytes, never its name."""

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

    `kind` is safetensors, zip, torch, torchscript, onnx, pickle, hdf5 or unknown; `tree` what a torch file or a pickle
    holds, with stubs in place of foreign objects; `archive` the members of a zip file.
    """

    path: Path
    raw: bytes
    kind: str
    tree: Any = None
    archive: Archive | None = None
    tensors: dict[str, Tensor] = field(default_factory=dict)  # of a flat dict of tensors

    @property
    def sha256(self) -> str:
        """The file's."""
        return hashlib.sha256(self.raw).hexdigest()

    def entry(self, name: str) -> Any:
        """An entry of a stored dict, or None."""
        return self.tree.get(name) if isinstance(self.tree, dict) else None


def read_content(path: Path) -> Content:
    """Read a file once, and tell what contains it.

    Raises:
        UserError: it is too large, damaged, or holds what no policy needs.
        OSError: it cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} has more than {MOST_BYTES >> 20} MiB; expected a policy file of at most that size.")
    raw = path.read_bytes()
    with telling(path), accounted(len(raw)):
        return parse(path, raw)


def parse(path: Path, raw: bytes) -> Content:
    """The content of these bytes; `path` is for messages. Raises what is in `DAMAGE`."""
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
    """What a JSON text says; ValueError if it is longer than descriptions of policies are."""
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
    """The tree itself if it is nothing but named tensors, else nothing."""
    if isinstance(tree, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in tree.items()):
        return dict(tree)
    return {}
