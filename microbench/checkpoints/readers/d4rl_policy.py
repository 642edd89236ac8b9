"""The behaviour policy inside some of D4RL's hdf5 files, under metadata/policy.

Fu et al. 2020 (arXiv:2004.07219). Weights are stored (out, in) for locomotion and (in, out) for Adroit; the sizes of
the biases tell which.
"""

from typing import Any

import torch
from numpy.typing import NDArray

from microbench.checkpoints.actors import Actor, policy_of
from microbench.checkpoints.containers.arrays import numbers
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.containers.hdf5_files import read_hdf5
from microbench.checkpoints.layers import Layer, transposed
from microbench.checkpoints.stored_policy import Choices, StoredPolicy

ROOT = "metadata/policy/"


def detect(content: Content) -> bool:
    """Whether the file is an hdf5 file with metadata/policy/fc0/weight."""
    return content.kind == "hdf5" and bool(read_hdf5(content.raw, _first))


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored tanh-Gaussian policy, without normalisation."""
    stored = read_hdf5(content.raw, lambda paths: [path for path in paths if path.startswith(ROOT)])
    entries = {path.removeprefix(ROOT): value for path, value in stored.items()}
    hidden = sorted(
        {name.partition("/")[0] for name in entries if name.startswith("fc")}, key=lambda name: int(name[2:])
    )
    names = [*hidden, "last_fc"]
    inward = [entries[f"{name}/weight"].shape[0] != entries[f"{name}/bias"].size for name in names]
    flip = any(inward)  # square layers look alike both ways; the first and the last are not square
    spread = _layer(entries, "last_fc_log_std", flip) if "last_fc_log_std/weight" in entries else None
    actor = Actor(
        algorithm="sac",
        chain=[_layer(entries, name, flip) for name in names],
        spread=spread,
        stored_activation=_text(entries.get("nonlinearity")),
    )
    return policy_of(actor, choices)


def _first(paths: list[str]) -> list[str]:
    return [path for path in paths if path == f"{ROOT}fc0/weight"]


def _layer(entries: dict[str, NDArray[Any]], name: str, flip: bool) -> Layer:
    weight, bias = (torch.from_numpy(numbers(entries[f"{name}/{part}"])) for part in ("weight", "bias"))
    return transposed(weight if flip else weight.T, bias, name)


def _text(value: Any) -> str | None:
    text = None if value is None else value.item()
    return text[:40].decode("ascii", "replace") if isinstance(text, bytes) else None
