"""One table of all random streams and seed ranges, so that no two uses share random numbers by accident.

An episode's seed starts its environment. Everything else that is random in that episode draws from (seed, stream).
"""

from collections.abc import Mapping
from enum import IntEnum


class Stream(IntEnum):
    """The second word of the seed sequence (seed, stream) of an episode.

    The last three share a number, because no episode uses two of them. Probes run in evaluated episodes, critics
    explore in episodes of their own range, and wrappers draw factors but have no probes.
    """

    ATTACK = 1  # `attacks.noise.STREAM`: a leaf keeps its own copy
    DISTURBANCE = 2  # followed by the checksum of the disturbance's name
    SEARCH = 4  # with the seed of a command: the points of an uncertainty set that are tried
    PROBE = 3
    EXPLORATION = 3
    FACTORS = 3


TRAINING_EVALUATION = range(10_000, 20_000)
"""Episodes in which `microbench train` and `collect` evaluate the policy while they train."""

CRITIC = range(1_000_000, 2**31)
"""Episodes to fit and validate critics: those of the critic's seed s begin at `CRITIC_STEP`·(s + 1)."""

CRITIC_STEP = 1_000_000
"""Seeds per critic seed: the first half is for fitting, the second for validation."""

LAST_CRITIC_SEED = CRITIC.stop // CRITIC_STEP - 2
"""The largest seed of a critic whose episodes are all in `CRITIC`."""

ADVERSARY = range(2**31, 2**32)
"""Episodes that adversaries are trained on, drawn at random."""

ADVERSARY_CHOICE = range(2**32, 2**32 + 20)
"""Episodes by which the strongest of several trained adversaries is chosen."""

ROLLOUT_STD = range(2**33, 2**33 + 10)
"""Clean episodes in which the unit `rollout-std` is measured."""

RESERVED: Mapping[str, range] = {
    "those that training watches": TRAINING_EVALUATION,
    "those that critics are fitted to and judged by": CRITIC,
    "those that adversaries are trained on": ADVERSARY,
    "those by which trained adversaries are chosen": ADVERSARY_CHOICE,
    "those in which rollout-std is measured": ROLLOUT_STD,
}
"""Seed ranges by their use, in words; an evaluation may use any seed, and says so when it overlaps one of these."""

LARGEST = 2**62
"""The largest seed that a command takes: results hold seeds in 64 bits, and the last episode's seed has to fit."""


def met(first: int, episodes: int, *, trained_here: bool = True) -> list[str]:
    """Other uses of the seeds `first` to `first + episodes − 1`, in the words of `RESERVED`.

    For a policy that was not `trained_here`, the episodes watched by training do not count.
    """
    last = first + episodes - 1
    used = [use for use, seeds in RESERVED.items() if first < seeds.stop and seeds.start <= last]
    return [use for use in used if trained_here or RESERVED[use] != TRAINING_EVALUATION]
