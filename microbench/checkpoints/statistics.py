"""Mean and spread of observations from a file beside the policy: JSON, a VecNormalize pickle, or a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from microbench.checkpoints.arrays import numbers
from microbench.checkpoints.content import Content, read_content, read_json
from microbench.checkpoints.hdf5_files import read_hdf5
from microbench.checkpoints.layers import Norm
from microbench.checkpoints.pickles import Stub
from microbench.damage import telling
from microbench.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """What a file tells of observations: mean and std (S,), and how a policy was normalised with them.

    `policy` says that the policy itself was trained on observations normalised so; `bounds` are the smallest and the
    largest observation (S,) of a dataset.
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
        """As a part of a policy."""
        return Norm(mean=self.mean, std=self.std + self.eps, clip=self.clip)


def read_statistics(path: Path) -> Statistics:
    """Read `{"mean": […], "std": […]}` (optionally eps, clip, policy), a vecnormalize.pkl or a D4RL hdf5 file.

    Raises:
        UserError: none of these, or not as many numbers in mean as in std, or a std that is not positive.
        OSError: it cannot be read.
    """
    content = read_content(path)
    with telling(path):
        if isinstance(content.tree, Stub):
            return vec_normalize(content)
        if content.kind == "hdf5":
            obs = read_hdf5(content.raw, lambda paths: [path for path in paths if path == "observations"])[
                "observations"
            ].astype(np.float64)
            low, high = (torch.from_numpy(end).float() for end in (obs.min(0), obs.max(0)))
            return replace(_checked(path, content.raw, {"mean": obs.mean(0), "std": obs.std(0)}), bounds=(low, high))
        told = read_json(content.raw)
        if not isinstance(told, dict) or not {"mean", "std"} <= told.keys():
            raise UserError(
                f'{path} holds no statistics; expected JSON {{"mean": […], "std": […]}}, one number per sensor.'
            )
        return _checked(path, content.raw, told)


def vec_normalize(content: Content) -> Statistics:
    """Stable-Baselines3's VecNormalize: clip((obs − mean)/√(var + epsilon), ±clip_obs)."""
    stored = content.tree.get("obs_rms")
    if not isinstance(stored, Stub):
        raise UserError(f"{content.path} holds no obs_rms of one observation vector; expected a vecnormalize.pkl.")
    variance = numbers(stored.get("var")) + float(content.tree.get("epsilon", 1e-8))
    told = {"mean": numbers(stored.get("mean")), "std": np.sqrt(variance), "clip": content.tree.get("clip_obs", 10.0)}
    return _checked(content.path, content.raw, told | {"policy": bool(content.tree.get("norm_obs", True))})


def _checked(path: Path, raw: bytes, told: Mapping[str, Any]) -> Statistics:
    mean, std = (_vector(told[name]) for name in ("mean", "std"))
    clip = told.get("clip")
    eps, clip = float(told.get("eps", 0.0)), float("inf") if clip is None else float(clip)
    if mean.shape != std.shape or not (std + eps > 0).all() or not clip > 0 or not eps >= 0:
        raise UserError(f"{path} has no usable statistics; expected as many mean as std, and every std positive.")
    return Statistics(
        mean=torch.from_numpy(mean).float(),
        std=torch.from_numpy(std).float(),
        raw=raw,
        eps=eps,
        clip=clip,
        policy=told.get("policy") is True,
    )


def _vector(values: Any) -> NDArray[np.float64]:
    return numbers(values).reshape(-1)
