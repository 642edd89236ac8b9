"""Self-checks of an evaluation: probes of an attack at some steps of every episode, and the flags they raise.

n episodes, B rows still running, K probes of an episode, S obs, H memory of a recurrent policy.
"""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Attack, Noise, Target, Threat
from attacks.checks import suspicions
from attacks.probe import Follower, Probe, probe
from microbench.seeds import Stream

SECOND = 4
"""Step of the second probe; the first is at `reset`, and each later one after twice as many steps."""


class Probing:
    """The probes of all rows of a simulation; an attack that follows no gradient is not probed.

    The probes of an episode depend neither on its batch nor on the attack's random numbers, and they change nothing.
    """

    def __init__(self, target: Target, attack: Attack | None, seeds: Sequence[int]) -> None:
        self._target = target
        self._follower = _following(attack)
        self._noise = Noise.from_seeds(seeds if self._follower is not None else (), Stream.PROBE)
        self._step = 0
        self._probes: list[tuple[NDArray[np.int64], Probe]] = []

    def look(self, threat: Threat | None, ids: NDArray[np.int64], obs: Tensor, seen: Tensor) -> None:
        """Probe the rows ids (B,) that have a budget, if this step has a probe; obs and seen are (B, S + H)."""
        step, self._step = self._step, self._step + 1
        if self._follower is None or threat is None or not _is_time(step):
            return
        open_rows = (threat.half_width > 0).any(-1).expand(len(ids))  # (B,)
        if not open_rows.any():
            return
        ids, obs, seen, threat = ids[open_rows.numpy()], obs[open_rows], seen[open_rows], threat.rows(open_rows)
        result = probe(self._follower, self._target, obs, seen, threat, self._noise.rows(torch.from_numpy(ids)))
        if result is not None:
            self._probes.append((ids, result))

    def flags(self, n: int) -> dict[str, NDArray[np.bool_]]:
        """Flag → whether each of n episodes raises it (n,)."""
        if not self._probes:
            return {}
        places = [np.full((n, len(self._probes)), np.nan) for _ in fields(Probe)]
        for place, (ids, result) in enumerate(self._probes):
            for field, values in zip(fields(Probe), places, strict=True):
                values[ids, place] = getattr(result, field.name).numpy()
        columns = {field.name: torch.from_numpy(at) for field, at in zip(fields(Probe), places, strict=True)}
        return {name: rows.numpy() for name, rows in suspicions(Probe(**columns)).items()}


def _following(attack: object) -> Follower | None:
    return attack if isinstance(attack, Follower) else None


def _is_time(step: int) -> bool:
    return step == 0 or (step >= SECOND and step & (step - 1) == 0)
