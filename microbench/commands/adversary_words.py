"""What `microbench adversary` says at its end: what was searched and at what cost, what it forces, how to use it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from attacks import Threat
from microbench.adversaries.learned import Learned
from microbench.adversaries.opponent import Opponent
from microbench.evaluation.sensors import sensor_names
from microbench.tasks import Task, normalized_score
from reports.statistics.means import mean_interval


def forced(task: Task, title: str, returns: NDArray[np.float64]) -> str:
    """One line: the mean score, or return, with its 95 % interval."""
    scored = task.expert_score is not None
    interval = mean_interval(normalized_score(task, returns) if scored else returns)
    ends = f"{interval.estimate:.1f} [{interval.low:.1f}, {interval.high:.1f}]"
    return f"{title:<10} {'score' if scored else 'return'} {ends}, {len(returns)} episodes"


def cost(curves: Sequence[Sequence[dict[str, float]]], start: str) -> str:
    """One line: environment steps, episodes and seconds of all searches, and where the strongest began."""
    steps, episodes, seconds = (sum(curve[-1][name] for curve in curves) for name in ("steps", "episodes", "seconds"))
    return f"{'search:':<10} {steps:,.0f} environment steps, {episodes:,.0f} episodes, {seconds:.0f} s, from {start}"


def offsets(attack: Learned, opponent: Opponent) -> list[str]:
    """A table of the constant adversary: per sensor the offset in its own units, and in units of eps.

    It is empty for every other method. Within the range of the data the offset may be cut at some observations.
    """
    if attack.stored.origin.method != "constant":
        return []
    task, threat = opponent.task, opponent.threat
    names, pushes = sensor_names(task), offset(attack, threat)
    scale = threat.scale[: len(names)].double()
    units = torch.where(scale > 0, pushes / scale, 0.0)
    width = max(len("sensor"), *map(len, names))
    head = f"{'sensor':<{width}}  {'offset':>12}  {threat.unit:>12}"
    rows = zip(names, pushes.tolist(), units.tolist(), strict=True)
    return [head, *(f"{name:<{width}}  {raw:>+12.5g}  {unit:>+12.4f}" for name, raw, unit in rows)]


def offset(attack: Learned, threat: Threat) -> torch.Tensor:
    """The constant push (S,) in raw units, as it is put into the ball."""
    bias, columns = attack.stored.layers[-1][1], len(threat.scale)
    zero = torch.zeros(1, columns, dtype=torch.float64)
    free = Threat(eps=threat.eps, scale=threat.scale, unit=threat.unit, norm=threat.norm)
    pushed = zero + free.half_width.double() * torch.cat([bias.double().clamp(-1, 1), zero[0, len(bias) :]])
    return free.project(zero, pushed)[0, : len(bias)]
