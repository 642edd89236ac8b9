"""Expert policies of openai/imitation: hdf5 snapshots of training, and the same networks as a pickle of arrays.

Ho and Ermon 2016 (arXiv:1606.03476). A Standardizer normalises observations, layers are tanh, and the mean is clipped
to the action box.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from microbench.checkpoints import layers as nets
from microbench.checkpoints.containers.arrays import numbers
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.containers.hdf5_files import read_hdf5
from microbench.checkpoints.layers import Layer, Norm
from microbench.checkpoints.stored_policy import Choices, StoredPolicy
from microbench.checkpoints.written_out import written_out

STD_EPS = 1e-6  # the Standardizer divides by std + 1e-6
ROOT = "GaussianPolicy/"
LAYERS = f"{ROOT}hidden/FeedforwardNet/layer_"
MOST_ENTRIES = 1000
SNAPSHOTS = "snapshots/"
STATISTICS = f"{ROOT}obsnorm/Standardizer/"


def detect(content: Content) -> bool:
    """Whether the file is a pickled dict with GaussianPolicy, or an hdf5 file with snapshots."""
    if content.kind == "hdf5":
        return bool(read_hdf5(content.raw, lambda paths: [path for path in paths if path.startswith(SNAPSHOTS)][:1]))
    return content.entry("GaussianPolicy") is not None


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy, of the last snapshot if there are several."""
    entries, about = _snapshot(content) if content.kind == "hdf5" else (_flat(content.tree), {})
    mean, square = (numbers(entries[f"{STATISTICS}{name}"]).reshape(-1) for name in ("mean_1_D", "meansq_1_D"))
    std = np.sqrt(np.maximum(0.0, square - mean**2)) + STD_EPS
    norm = Norm(mean=_tensor(mean), std=_tensor(std))
    stored = entries.get("nonlin_type")
    activation = choices.activation("tanh", {"lrelu": "leaky_relu"}.get(str(stored), stored))
    hidden = sorted({int(name[len(LAYERS) :].partition("/")[0]) for name in entries if name.startswith(LAYERS)})
    chain = [*(_affine(entries, f"{LAYERS}{number}") for number in hidden), _affine(entries, f"{ROOT}out")]
    log_std = _tensor(entries[f"{ROOT}logstdevs_1_Da"]).reshape(-1)
    sizes = nets.sizes(chain)
    return StoredPolicy(
        algorithm="trpo",
        obs_size=sizes[0],
        action_size=sizes[-1],
        head=nets.after(norm, nets.mlp(chain, activation)),
        squash=choices.squash("none"),
        log_std=lambda seen: log_std.expand(len(seen), -1),
        network=written_out(chain, activation, norm),
        norm=norm,
        about={"layers": sizes, **about},
    )


def _snapshot(content: Content) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every array of the last snapshot by its path, and the snapshot's name."""
    arrays = read_hdf5(content.raw, _last_snapshot)
    start = next(iter(arrays)).index(ROOT)
    return {path[start:]: value for path, value in arrays.items()}, {
        "snapshot": next(iter(arrays))[len(SNAPSHOTS) : start - 1]
    }


def _last_snapshot(paths: list[str]) -> list[str]:
    """The paths of the snapshot with the highest name that holds a policy."""
    holding = [path for path in paths if path.startswith(SNAPSHOTS) and f"/{ROOT}" in path]
    last = max((path[: path.index(ROOT)] for path in holding), default="")
    if not last:
        raise ValueError("no snapshot with a GaussianPolicy")
    return [path for path in holding if path.startswith(last)]


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Every array of nested dicts by its path; ValueError for too many entries, as of a dict within itself."""
    arrays: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", tree)]
    for _ in range(MOST_ENTRIES):
        if not waiting:
            return arrays
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{path}/{name}".lstrip("/")[:200], entry) for name, entry in value.items()]
        else:
            arrays[path] = value
    raise ValueError("more entries than an expert policy has")


def _affine(entries: Mapping[str, Any], name: str) -> Layer:
    weight, bias = (_tensor(entries[f"{name}/AffineLayer/{part}"]) for part in ("W", "b"))
    return nets.transposed(weight, bias, name)


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(numbers(values)).float()
