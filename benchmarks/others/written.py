"""One policy file that somebody else's code wrote, with that code's own answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from microbench.checkpoints import Overrides
from microbench.checkpoints.record import NONE

Rows = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file and what its own code makes of observations (B, S) and actions (B, A).

    policy  obs → action (B, A), cut to the box (low, high)
    critic  obs, action → value (B,), None where there is none
    state   obs → value of the state (B,), None where there is none
    spread  obs → standard deviation (B, A), None where there is none
    refusal  words that the file must be refused with, empty if it must be read
    actions_alone  whether nothing but actions is compared
    memory   what the policy remembers beside the observations: the step, of a policy with a clock
    """

    name: str
    path: Path
    policy: Callable[[Rows], Any] | None = None
    critic: Callable[[Rows, Rows], Any] | None = None
    state: Callable[[Rows], Any] | None = None
    spread: Callable[[Rows], Any] | None = None
    overrides: Overrides = NONE
    box: float = 1.0
    refusal: str = ""
    memory: tuple[float, ...] = ()
    actions_alone: bool = False


def disturbed(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The module with parameters and statistics that are not those of an untrained one, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for name, value in module.named_buffers():
            if value.is_floating_point() and "action_" not in name and "bias" not in name:
                value.add_(torch.rand(value.shape, generator=generator))
    return module.eval()


def tensor(rows: Rows) -> torch.Tensor:
    """Rows as torch takes them."""
    return torch.from_numpy(rows)
