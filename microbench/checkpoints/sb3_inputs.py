"""What stands between the sensors and a Stable-Baselines3 policy: VecNormalize, and a clock as the last input."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from attacks import Memory
from microbench.checkpoints import layers as nets
from microbench.checkpoints.actors import UNNORMALISED
from microbench.checkpoints.content import Content
from microbench.checkpoints.found import Choices
from microbench.checkpoints.layers import Function
from microbench.checkpoints.statistics import Statistics, read_statistics
from microbench.checkpoints.task_of import tasks_of
from microbench.errors import UserError

CLOCK_STEPS = 1000  # TimeFeatureWrapper's own default, and the length of a MuJoCo episode


def prepared(
    content: Content, inputs: int, stats: Statistics | None, clock: bool
) -> tuple[Function, int, Memory | None]:
    """Obs (B, S + H) → what the first layer takes; the clock is a memory of one number, the step."""
    norm = nets.unchanged if stats is None else stats.norm
    if stats is not None and len(stats.mean) != inputs:
        raise UserError(
            f"{content.path} takes {inputs} numbers, the statistics beside it are of {len(stats.mean)}; give those of "
            f"this policy with --obs-stats."
        )
    if not clock:
        return norm, inputs, None

    def clocked(seen: Tensor) -> Tensor:
        return norm(torch.cat([seen[:, :-1], 1 - seen[:, -1:] / CLOCK_STEPS], -1))

    return clocked, inputs - 1, Memory(start=torch.zeros(1), advance=lambda seen, _: seen[:, -1:] + 1)


def has_clock(path: Path, sizes: Sequence[int], choices: Choices) -> bool:
    """Whether the last input is a clock, 1 − step/1000 (TimeFeatureWrapper): by a config beside it, or by its sizes."""
    found = beside(path, "config.yml")[:1]
    named = any(b"TimeFeatureWrapper" in config.read_bytes() for config in found)
    fits = not tasks_of(sizes[0], sizes[-1]) and bool(tasks_of(sizes[0] - 1, sizes[-1]))
    if fits:
        why = (
            f"{found[0].name} names TimeFeatureWrapper" if named else "no task has that many sensors, one has one less"
        )
        choices.inferred["clock"] = f"the last of {sizes[0]} inputs is 1 − step/{CLOCK_STEPS}: {why}"
    return fits


def statistics_of(content: Content, choices: Choices) -> Statistics | None:
    """Of a VecNormalize pickle given or found beside the file; None where the policy was trained without."""
    said = choices.overrides.obs_stats
    for path in [
        *([said] if said and str(said) != UNNORMALISED else []),
        *beside(content.path, "vecnormalize.pkl")[:1],
    ]:
        stats = read_statistics(path)
        if stats.policy:
            choices.inferred["observations"] = f"normalised with the statistics of {path.name}"
            return stats
    choices.inferred["observations"] = (
        "as they are: no vecnormalize.pkl beside the file; if it was trained with VecNormalize, give --obs-stats"
    )
    return None


def beside(path: Path, name: str) -> list[Path]:
    """NAME, ALGO-NAME (of ALGO-Task.zip), STEM-NAME or STEM/NAME beside the zip, the first that exists first."""
    stem = path.stem
    algorithm = stem.partition("-")[0]
    folder = path.parent
    options = [
        folder / f"{stem}-{name}",
        folder / f"{stem}_{name}",
        folder / stem / name,
        folder / f"{algorithm}-{name}",
    ]
    return [found for found in (*options, folder / name) if found.is_file()]
