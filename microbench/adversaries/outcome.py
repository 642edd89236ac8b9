"""What comes of a training, whichever it is."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """The network that decides, as (weight (out, in), bias (out,)) first to last; mean and std (S,) of its inputs."""

    layers: tuple[tuple[Tensor, Tensor], ...]
    mean: Tensor
    std: Tensor
