"""The inputs of a Stable-Baselines3 policy: sensors normalised by VecNormalize, and a clock as the last input."""

import torch
from torch import Tensor

from attacks import Memory
from microbench.checkpoints import layers as nets
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.layers import Function
from microbench.checkpoints.readers.sb3_clock import Clock
from microbench.checkpoints.statistics import Statistics
from microbench.errors import UserError


def prepared(
    content: Content, inputs: int, stats: Statistics | None, clock: Clock | None
) -> tuple[Function, int, Memory | None]:
    """The function from obs (B, S + H) to the first layer's input, the number of sensors, and the clock's memory.

    A clock is a memory of one number, the step.
    """
    norm = nets.unchanged if stats is None else stats.norm
    if stats is not None and len(stats.mean) != inputs:
        raise UserError(
            f"{content.path} takes {inputs} numbers, the statistics beside it are of {len(stats.mean)}; give those of "
            f"this policy with --obs-stats."
        )
    if clock is None:
        return norm, inputs, None

    def clocked(seen: Tensor) -> Tensor:
        return norm(torch.cat([seen[:, :-1], clock.show(seen[:, -1:])], -1))

    return clocked, inputs - 1, Memory(start=torch.zeros(1), advance=lambda seen, _: seen[:, -1:] + 1)
