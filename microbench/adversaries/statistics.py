"""Running mean and std of observations, with which an adversary normalises them."""

import torch
from torch import Tensor

CLIP = 10.0


class Running:
    """Count, mean (S,) and summed squared deviations (S,) in double precision; before any row, mean 0 and std 1."""

    def __init__(self, size: int) -> None:
        self.count = torch.zeros((), dtype=torch.float64)
        self.mean = torch.zeros(size, dtype=torch.float64)
        self.squares = torch.zeros(size, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Add rows (B, S) to the statistics (Chan et al. 1979: two sets of deviations are merged exactly)."""
        rows = rows.double()
        count, mean = len(rows), rows.mean(0)
        total, shift = self.count + count, mean - self.mean
        self.squares += (rows - mean).square().sum(0) + shift.square() * self.count * count / total
        self.mean += shift * count / total
        self.count = total

    @property
    def std(self) -> Tensor:
        """The standard deviation (S,), 1 without rows and where nothing varies."""
        std = (self.squares / self.count.clamp(min=1)).sqrt()
        return torch.where(std > 1e-8, std, 1.0)

    def state_dict(self) -> dict[str, Tensor]:
        """The statistics as tensors."""
        return {name: tensor.clone() for name, tensor in vars(self).items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the statistics from `state_dict`."""
        self.count, self.mean, self.squares = (state[name].clone() for name in ("count", "mean", "squares"))


def normalised(obs: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """clip((obs − mean)/std, ±10), float32."""
    return ((obs - mean.to(obs)) / std.to(obs)).clamp(-CLIP, CLIP)
