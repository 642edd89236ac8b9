"""Logged transitions as frozen arrays, and tensors of them on a device."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Logged transitions in the order they were made.

    obs (N, S), action (N, A), reward (N,) and next_obs (N, S) are float32. `terminal` (N,) marks the rows in which an
    episode terminated, `timeout` (N,) those in which one was truncated. `sha256` is the hash of the file, and `rows`
    names the convention by which its rows became transitions (microbench.data.rows).
    """

    name: str
    env_id: str
    sha256: str
    obs: Floats
    action: Floats
    reward: Floats
    next_obs: Floats
    terminal: Bools
    timeout: Bools
    episode_returns: NDArray[np.float64]
    rows: str = ""
    remarks: tuple[str, ...] = ()  # sentences: assumptions about the file that a reader must know

    def __len__(self) -> int:
        return len(self.reward)

    @cached_property
    def obs_mean(self) -> Floats:
        """Per-feature mean of the observations (S,)."""
        mean: Floats = self.obs.mean(0, dtype=np.float64).astype(np.float32)
        return mean

    @cached_property
    def obs_std(self) -> Floats:
        """Per-feature standard deviation (S,): the unit `dataset-std` of an attack's eps."""
        std: Floats = self.obs.std(0, dtype=np.float64).astype(np.float32)
        return std

    @cached_property
    def obs_low(self) -> Floats:
        """Per-feature minimum (S,): with the range, the bounds of `--in-range`."""
        low: Floats = self.obs.min(0)
        return low

    @cached_property
    def obs_range(self) -> Floats:
        """Per-feature maximum minus minimum (S,): the unit `range`."""
        span: Floats = self.obs.max(0) - self.obs.min(0)
        return span


@dataclass(frozen=True, kw_only=True)
class Transitions:
    """Rows of transitions as tensors on one device; reward and terminal are float32 (B,)."""

    obs: Tensor
    action: Tensor
    reward: Tensor
    next_obs: Tensor
    terminal: Tensor

    def __len__(self) -> int:
        return len(self.reward)

    def __getitem__(self, index: Tensor | slice) -> "Transitions":
        return Transitions(**{name: rows[index] for name, rows in vars(self).items()})

    def sample(self, rows: int, generator: torch.Generator) -> "Transitions":
        """`rows` transitions drawn uniformly with replacement."""
        return self[torch.randint(len(self), (rows,), generator=generator, device=self.reward.device)]

    @staticmethod
    def cat(parts: "list[Transitions]") -> "Transitions":
        """All rows of `parts`, in order."""
        return Transitions(**{name: torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def as_transitions(dataset: Dataset, device: torch.device) -> Transitions:
    """The dataset's rows as tensors on `device`."""
    arrays = (dataset.obs, dataset.action, dataset.reward, dataset.next_obs, dataset.terminal)
    names = ("obs", "action", "reward", "next_obs", "terminal")
    tensors = {
        name: torch.as_tensor(array, dtype=torch.float32, device=device)
        for name, array in zip(names, arrays, strict=True)
    }
    return Transitions(**tensors)
