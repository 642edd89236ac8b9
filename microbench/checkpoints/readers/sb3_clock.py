"""A clock as the last input of a Stable-Baselines3 policy; its value depends on the wrapper that added it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from microbench.checkpoints.readers.sb3_spaces import Data, last_bounds, stored_array, stored_dtype
from microbench.checkpoints.stored_policy import Choices
from microbench.checkpoints.task_of import tasks_of
from microbench.errors import UserError
from microbench.tasks import TASKS

STEPS = 1000  # the length of a MuJoCo episode, and TimeFeatureWrapper's own default
EXACT, ROUNDED = 1e-9, 1e-3  # distance of 1000 · clock from a whole number in double and in single precision


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock: `show` maps the number of steps (B, 1) to the value of the last input (B, 1)."""

    show: Callable[[Tensor], Tensor]
    about: str


REMAINING = Clock(show=lambda step: 1 - step / STEPS, about=f"1 − step/{STEPS}, as TimeFeatureWrapper shows it")
COUNT = Clock(show=lambda step: step, about="the step itself, as TimeAwareObservation shows it")
SHARE = Clock(show=lambda step: step / STEPS, about=f"step/{STEPS}, as TimeAwareObservation(normalize_time=True) does")


def clock_of(sizes: Sequence[int], data: Data, config: str, choices: Choices) -> Clock | None:
    """The clock of a policy that has one input more than its task has sensors; None for other policies.

    `config` is the text of an rl_zoo3 config.yml beside the file, or empty.

    Raises:
        UserError: the file does not show which clock it is.
    """
    if not _one_more(sizes, choices.overrides.env_id):
        return None
    named = "TimeFeatureWrapper" in config
    clock, why = (REMAINING, "config.yml names TimeFeatureWrapper") if named else _by_bounds(data)
    if clock is None:
        raise UserError(
            f"{choices.path} takes {sizes[0]} numbers, one more than its task has sensors, and {why}; put rl_zoo3's "
            f"config.yml that names TimeFeatureWrapper beside it, or wrap it as a module:callable."
        )
    choices.inferred["clock"] = f"the last of {sizes[0]} inputs is {clock.about}: {why}"
    return clock


def _one_more(sizes: Sequence[int], env_id: str | None) -> bool:
    if env_id is not None:
        return env_id in TASKS and TASKS[env_id].obs_size == sizes[0] - 1
    return not tasks_of(sizes[0], sizes[-1]) and bool(tasks_of(sizes[0] - 1, sizes[-1]))


def _by_bounds(data: Data) -> tuple[Clock | None, str]:
    """The clock by the bounds of the last input, with the reason.

    TimeFeatureWrapper's bounds are [0, 1], TimeAwareObservation's [0, longest episode] or [0, ∞).
    """
    bounds = last_bounds(data)
    if bounds is None or bounds[0] != 0 or bounds[1] < 1:
        return None, "the bounds of its space do not say that the last is a clock"
    if bounds[1] > 1:
        return COUNT, f"its bounds are 0 and {bounds[1]:g}"
    if stored_dtype(data) == "float32":  # the other wrapper keeps the double precision of MuJoCo's observations
        return REMAINING, "its bounds are 0 and 1"
    seen = next((row for name in OBSERVED if (row := stored_array(data, name)) is not None), None)
    return _by_rounding(seen)


OBSERVED = ("_last_original_obs", "_last_obs")


def _by_rounding(seen: np.ndarray | None) -> tuple[Clock | None, str]:
    """The clock by the rounding of the last observation, with the reason.

    1 − step/1000 is stored in double precision; TimeAwareObservation rounds step/1000 to single precision first.
    """
    if seen is not None and seen.dtype == np.float64 and seen.size:
        for clock, start in ((REMAINING, 1.0), (SHARE, 0.0)):  # the end of an episode is never the last observation
            if np.all(seen[..., -1] == start):
                return clock, f"its bounds are 0 and 1, and it was {start:g} when the last episode began"
        off = np.abs(STEPS * seen[..., -1] - np.rint(STEPS * seen[..., -1])).max()
        single = np.all(seen[..., -1] == seen[..., -1].astype(np.float32))
        if off < EXACT and not single:
            return REMAINING, "its bounds are 0 and 1, and the last observation is that of TimeFeatureWrapper"
        if EXACT < off < ROUNDED and single:
            return SHARE, "its bounds are 0 and 1, and the last observation is rounded as TimeAwareObservation does"
    return None, "its bounds, 0 and 1, are those of TimeFeatureWrapper and of TimeAwareObservation alike"
