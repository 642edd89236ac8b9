"""Mean and std of observations from a file beside the policy: JSON, a VecNormalize pickle, or a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from microbench.checkpoints import unreadable
from microbench.checkpoints.containers.arrays import numbers
from microbench.checkpoints.containers.content import Content, read_content, read_json
from microbench.checkpoints.containers.damage import telling
from microbench.checkpoints.containers.hdf5_files import read_hdf5
from microbench.checkpoints.containers.pickles import Stub
from microbench.checkpoints.layers import Norm
from microbench.checkpoints.own import STATISTICS, own_bounds, parse_own
from microbench.data.sources import BUNDLED, bundled_file
from microbench.errors import UserError
from microbench.learning.runs import find_policy


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """Statistics of observations: mean and std (S,), with the settings of a normalisation.

    `policy` is true if the policy itself was trained on observations normalised by them. `bounds` are the smallest and
    the largest observation (S,) of a dataset. `raw` are the bytes of the file.
    """

    mean: Tensor
    std: Tensor
    raw: bytes
    eps: float = 0.0
    clip: float = float("inf")
    policy: bool = False
    bounds: tuple[Tensor, Tensor] | None = None

    @property
    def norm(self) -> Norm:
        """The statistics as a policy's normalisation."""
        return Norm(mean=self.mean, std=self.std + self.eps, clip=self.clip)


def read_statistics(path: Path) -> Statistics:
    """Statistics from a JSON file with mean and std (and eps, clip, policy), a vecnormalize.pkl or a D4RL hdf5 file.

    The name of a bundled dataset, a run folder and its policy file stand for the observations of their dataset.

    Raises:
        UserError: the file is none of these, mean and std have different lengths, or a std is not positive.
        OSError: the file cannot be read.
    """
    if str(path) in BUNDLED:
        with bundled_file(str(path)) as file:
            return read_statistics(file)
    path = statistics_file(path)
    content = read_content(path)
    if content.kind == "safetensors":
        return _of_policy(content)
    with telling(path):
        if isinstance(content.tree, Stub):
            return vec_normalize(content)
        if content.kind == "hdf5":
            obs = read_hdf5(content.raw, lambda paths: [path for path in paths if path == "observations"], views=True)[
                "observations"
            ].astype(np.float64)
            low, high = (torch.from_numpy(end).float() for end in (obs.min(0), obs.max(0)))
            return replace(_checked(path, content.raw, {"mean": obs.mean(0), "std": obs.std(0)}), bounds=(low, high))
        try:
            stored = read_json(content.raw)
        except (ValueError, RecursionError):  # also of bytes that are no text
            stored = None
        if not isinstance(stored, dict) or not {"mean", "std"} <= stored.keys():
            raise UserError(
                f'{path} {unreadable.what(content)} and holds no statistics; expected JSON {{"mean": […], "std": […]}} '
                f"with one number per sensor, a vecnormalize.pkl, or the dataset's hdf5."
            )
        return _checked(path, content.raw, stored)


def statistics_file(path: Path) -> Path:
    """The file with the statistics: the policy file of a run folder, else the path itself.

    Raises:
        UserError: the path is a folder without a policy.
    """
    return find_policy(path, path) if path.is_dir() else path


def _of_policy(content: Content) -> Statistics:
    """The statistics in a policy file of microbench: those of its training dataset."""
    tensors = parse_own(content.path, content.raw)[1]
    stored = [tensors[name] for name in STATISTICS if name in tensors]
    if len({tensor.shape for tensor in stored}) != 1 or not {"obs_mean", "obs_std"} <= tensors.keys():
        raise UserError(f"{content.path} has no usable statistics; train the policy again, or give its dataset.")
    plain = _checked(
        content.path, content.raw, {"mean": tensors["obs_mean"].numpy(), "std": tensors["obs_std"].numpy()}
    )
    return replace(plain, bounds=own_bounds(tensors))


def rewards_alone(content: Content) -> bool:
    """Whether this is a VecNormalize of rewards alone, which may have no statistics of observations."""
    return isinstance(content.tree, Stub) and content.tree.get("norm_obs", True) is False


def vec_normalize(content: Content) -> Statistics:
    """Statistics of Stable-Baselines3's VecNormalize, clip((obs − mean)/√(var + epsilon), ±clip_obs)."""
    stored = content.tree.get("obs_rms")
    if rewards_alone(content) and not isinstance(stored, Stub):
        raise UserError(
            f"{content.path} is of a VecNormalize of rewards alone, without statistics of observations; give "
            f"--obs-stats none."
        )
    if isinstance(stored, dict):
        raise UserError(
            f"{content.path} has statistics of a dictionary of observations; only one vector is read here, so wrap the "
            f"policy as a module:callable."
        )
    if not isinstance(stored, Stub):
        raise UserError(f"{content.path} {unreadable.what(content)}; expected a vecnormalize.pkl, with obs_rms.")
    variance = numbers(stored.get("var")) + float(content.tree.get("epsilon", 1e-8))
    entries = {
        "mean": numbers(stored.get("mean")),
        "std": np.sqrt(variance),
        "clip": content.tree.get("clip_obs", 10.0),
    }
    return _checked(content.path, content.raw, entries | {"policy": bool(content.tree.get("norm_obs", True))})


def _checked(path: Path, raw: bytes, entries: Mapping[str, Any]) -> Statistics:
    mean, std = (_vector(entries[name]) for name in ("mean", "std"))
    clip = entries.get("clip")
    eps, clip = float(entries.get("eps", 0.0)), float("inf") if clip is None else float(clip)
    if mean.shape != std.shape or not (std + eps > 0).all() or not clip > 0 or not eps >= 0:
        raise UserError(f"{path} has no usable statistics; expected as many mean as std, and every std positive.")
    return Statistics(
        mean=torch.from_numpy(mean).float(),
        std=torch.from_numpy(std).float(),
        raw=raw,
        eps=eps,
        clip=clip,
        policy=entries.get("policy") is True,
    )


def _vector(values: Any) -> NDArray[np.float64]:
    return numbers(values).reshape(-1)
