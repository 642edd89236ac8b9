"""Files that hold no policy or one that cannot be read: one sentence for each kind, with the way out."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor

from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.containers.pickles import Stub

WRAP = "wrap it as a module:callable"
TEXT_BYTES = 4096  # bytes at the start of a file that must all be text for the file to count as text


@dataclass(frozen=True, kw_only=True)
class Form:
    """One kind of file: a test for it, a phrase that describes it (verb first), and advice."""

    looks: Callable[[Content], bool]
    about: str
    way_out: str


def _starts(*marks: bytes) -> Callable[[Content], bool]:
    return lambda content: content.raw.startswith(marks)


def _begins(*words: bytes) -> Callable[[Content], bool]:
    return lambda content: content.raw[:TEXT_BYTES].lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(words)


def _members(*names: str) -> Callable[[Content], bool]:
    """A test for archives with all of these members, in any folder."""

    def looks(content: Content) -> bool:
        members = [] if content.archive is None else [name.rpartition("/")[2] for name in content.archive.sizes]
        return all(name in members for name in names)

    return looks


def _object(*words: str) -> Callable[[Content], bool]:
    """A test for pickled objects whose class has one of these words in its name."""
    return lambda content: isinstance(content.tree, Stub) and any(word in content.tree.origin for word in words)


def _names(*words: str) -> Callable[[Content], bool]:
    """A test for stored dicts in which some tensor has one of these words in its name."""
    return lambda content: any(word in name.lower() for name in tensors_of(content.tree) for word in words)


def _keys(*names: str) -> Callable[[Content], bool]:
    return lambda content: isinstance(content.tree, dict) and all(name in content.tree for name in names)


def _is_json(content: Content) -> bool:
    if content.raw[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(content.raw)
    except (ValueError, RecursionError):
        return False
    return True


def _is_text(content: Content) -> bool:
    start = content.raw[:TEXT_BYTES]
    return content.kind == "unknown" and not any(byte < 9 or 13 < byte < 32 for byte in start)


def _is_tar(content: Content) -> bool:
    return content.raw[257:262] == b"ustar"


def _has_conv(content: Content) -> bool:
    return any(value.ndim == 4 for value in tensors_of(content.tree).values())


def _is_msgpack(content: Content) -> bool:
    return content.kind in ("unknown", "pickle") and b"params" in content.raw[:64] and b"kernel" in content.raw


def _is_optimizer(content: Content) -> bool:
    return isinstance(content.tree, dict) and {"state", "param_groups"} == set(content.tree)


def _has_critics_alone(content: Content) -> bool:
    names = list(tensors_of(content.tree))
    return bool(names) and all(CRITIC.match(name) for name in names)


CRITIC = re.compile(r"(critic|qf?_?\d|vf?\d|value|q_?func)", re.IGNORECASE)
AGAIN = "download or copy the file itself"
FORMS: tuple[Form, ...] = (
    Form(looks=lambda content: not content.raw, about="holds 0 bytes (Empty file)", way_out=AGAIN),
    Form(
        looks=_starts(b"version https://git-lfs.github.com/"),
        about="is a Git LFS pointer in place of the file",
        way_out="fetch the file itself with `git lfs pull`",
    ),
    Form(
        looks=_starts(b"/annex/objects/"),
        about="is a git-annex pointer in place of the file",
        way_out="fetch the file itself with `git annex get`",
    ),
    Form(looks=_begins(b"<!doctype html", b"<html"), about="is an HTML page", way_out=AGAIN),
    Form(looks=_begins(b"<?xml", b"<error"), about="is an XML text, such as an error of a server", way_out=AGAIN),
    Form(looks=_starts(b"\x1f\x8b"), about="is packed with gzip", way_out="unpack it and give what is in it"),
    Form(looks=_starts(b"BZh"), about="is packed with bzip2", way_out="unpack it and give what is in it"),
    Form(looks=_starts(b"\xfd7zXZ"), about="is packed with xz", way_out="unpack it and give what is in it"),
    Form(looks=_starts(b"7z\xbc\xaf"), about="is a 7-Zip archive", way_out="unpack it and give what is in it"),
    Form(looks=_starts(b"Rar!"), about="is a RAR archive", way_out="unpack it and give what is in it"),
    Form(looks=_starts(b"\x28\xb5\x2f\xfd"), about="is packed with zstd", way_out="unpack it and give what is in it"),
    Form(looks=_is_tar, about="is a tar archive", way_out="unpack it and give what is in it"),
    Form(
        looks=lambda content: content.kind == "unknown" and content.raw.startswith(b"PK"),
        about="is a zip archive that was cut short",
        way_out=AGAIN,
    ),
    Form(looks=_starts(b"\x93NUMPY"), about="is an array of NumPy", way_out=WRAP),
    Form(looks=_is_msgpack, about="is a msgpack of Flax (JAX), which is not read here", way_out=WRAP),
    Form(
        looks=_members("parameters", "parameter_list"),
        about="is a zip of Stable-Baselines 2, which held networks of TensorFlow",
        way_out=WRAP,
    ),
    Form(looks=_members("model.weights.h5"), about="is a model of Keras, which is not read here", way_out=WRAP),
    Form(
        looks=_object("VecNormalize"),
        about="holds the statistics of a VecNormalize and no policy",
        way_out="give the zip of the model, and this file with --obs-stats",
    ),
    Form(
        looks=_object("ReplayBuffer", "RolloutBuffer", "Buffer"),
        about="holds a replay buffer and no policy",
        way_out="give the file of the model that was saved beside it",
    ),
    Form(
        looks=_is_optimizer,
        about="holds the state of an optimizer and no policy",
        way_out="give the file with the weights",
    ),
    Form(
        looks=_names("embed_timestep", "embed_return", "timestep_emb", "return_emb"),
        about="is a Decision Transformer, which acts on a history of returns, observations and actions",
        way_out=WRAP,
    ),
    Form(looks=_names("attn", "attention", "transformer"), about="has attention, which is not read here", way_out=WRAP),
    Form(
        looks=_names("lstm", "gru.", "rnn."),
        about="holds a recurrent policy, whose order of layers the file does not say",
        way_out=WRAP,
    ),
    Form(looks=_has_conv, about="has convolutions, so it observes images, which is not read here", way_out=WRAP),
    Form(
        looks=_has_critics_alone,
        about="holds critics and no actor",
        way_out="give the file with the actor",
    ),
    Form(
        looks=_names("q_net.", "quantile_net."),
        about="holds a Q-network, which chooses among discrete actions",
        way_out="give a policy of a continuous-control task",
    ),
    Form(
        looks=_names("running_mean", "num_batches_tracked"),
        about="has batch normalisation, and its layers do not say in which order it acts",
        way_out=WRAP,
    ),
    Form(
        looks=_names("norm", ".ln", "ln_", "ln1", "ln2"),
        about="has layer normalisation, and its layers do not say in which order it acts",
        way_out=WRAP,
    ),
)
"""Kinds of files in order: the first that fits describes the file."""


def why(content: Content) -> str:
    """A description of the content and advice, to follow the file's name; empty if the kind is unknown."""
    for form in FORMS:
        if form.looks(content):
            return f"{form.about}; {form.way_out}"
    if content.kind == "zip" and content.archive is not None:
        return _of_archive(list(content.archive.sizes))
    whole = _first_stub(content.tree)
    if whole is not None:
        return (
            f"holds a whole pickled object ({whole.origin[:80]}), whose class decides what its weights mean; store its "
            f"state_dict() instead, or {WRAP}"
        )
    if content.kind == "hdf5":
        return "is an HDF5 file without a policy; a dataset belongs to --dataset or --obs-stats, so give a policy file"
    if _is_json(content):
        return f"is a JSON text and no policy; {AGAIN}"
    return f"is a text and no policy; {AGAIN}" if _is_text(content) else ""


def what(content: Content) -> str:
    """A description of the content without advice, for a file that was expected to be something else."""
    if content.archive is not None and "policy.pth" in content.archive:
        return "is the zip of a model of Stable-Baselines3"
    named = why(content).partition(";")[0]
    return named or f"is {'an' if content.kind[0] in 'aeiou' else 'a'} {content.kind} file"


def part(name: str, shape: Iterable[int] = ()) -> str:
    """A description of a tensor by its name, for a part that networks of its family do not have."""
    lower = name.lower()
    for words, about in PARTS:
        if any(word in lower for word in words):
            return f"{about} ({name[:60]})"
    return f"convolutions ({name[:60]})" if len(tuple(shape)) == 4 else f"the unknown part {name[:60]}"


PARTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("running_mean", "running_var", "num_batches_tracked"), "batch normalisation"),
    (("lstm", "gru", "rnn"), "a recurrent layer"),
    (("cnn", "conv"), "convolutions, for images"),
    (("attn", "attention", "transformer"), "attention"),
    (("norm", ".ln"), "layer normalisation"),
    (("q_net", "quantile_net"), "a Q-network over discrete actions"),
    (("features_extractor",), "a features extractor of its own"),
)


def tensors_of(tree: object, depth: int = 3) -> dict[str, Tensor]:
    """Every tensor in nested dicts, its name joined by points from the keys."""
    tensors: dict[str, Tensor] = {}
    if not isinstance(tree, dict) or depth < 0:
        return tensors
    for name, value in tree.items():
        if isinstance(value, Tensor):
            tensors[str(name)] = value
        tensors |= {f"{name}.{inner}": leaf for inner, leaf in tensors_of(value, depth - 1).items()}
    return tensors


def _first_stub(tree: object) -> Stub | None:
    """The stub itself, or the first stub among the entries of a stored dict or list; None if there is none."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    entries = tree if isinstance(tree, (list, tuple)) else [tree]
    return next((entry for entry in entries if isinstance(entry, Stub)), None)


def _of_archive(members: list[str]) -> str:
    models = [name for name in members if name.lower().endswith((".zip", ".pt", ".pth", ".d3", ".safetensors"))]
    shown = ", ".join((models or members)[:4])[:160]
    if models:
        return f"is an archive with policy files in it ({shown}); unpack it and give one of them"
    if members and all(name.endswith(".npy") for name in members):
        return f"holds arrays of NumPy ({shown}) and does not say what network they are of; {WRAP}"
    return f"is a zip archive without a policy in it ({shown or 'nothing'}); give the file of the model"
