"""When an attack is looked at, and what that says about each episode: the self-checks of an evaluation.

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
"""The first probe is that of `reset`, the second after so many steps, each later one after twice as many."""


class Probing:
    """Probes of all rows of a simulation; nothing is done where the attack follows no gradient.

    What an episode shows depends neither on the batch it is in nor on anything the attack draws, and changes nothing.
    """

    def __init__(self, target: Target, attack: Attack | None, seeds: Sequence[int]) -> None:
        self._target = target
        self._follower = _following(attack)
        self._noise = Noise.from_seeds(seeds if self._follower is not None else (), Stream.PROBE)
        self._step = 0
        self._found: list[tuple[NDArray[np.int64], Probe]] = []

    def look(self, threat: Threat | None, ids: NDArray[np.int64], obs: Tensor, seen: Tensor) -> None:
        """Probe the rows ids (B,) that have a budget, if it is time: obs and seen are (B, S + H)."""
        step, self._step = self._step, self._step + 1
        if self._follower is None or threat is None or not _is_time(step):
            return
        open_rows = (threat.half_width > 0).any(-1).expand(len(ids))  # (B,)
        if not open_rows.any():
            return
        ids, obs, seen, threat = ids[open_rows.numpy()], obs[open_rows], seen[open_rows], threat.rows(open_rows)
        found = probe(self._follower, self._target, obs, seen, threat, self._noise.rows(torch.from_numpy(ids)))
        if found is not None:
            self._found.append((ids, found))

    def flags(self, n: int) -> dict[str, NDArray[np.bool_]]:
        """Which of n episodes raise which flag."""
        if not self._found:
            return {}
        places = [np.full((n, len(self._found)), np.nan) for _ in fields(Probe)]
        for place, (ids, found) in enumerate(self._found):
            for field, values in zip(fields(Probe), places, strict=True):
                values[ids, place] = getattr(found, field.name).numpy()
        columns = {field.name: torch.from_numpy(at) for field, at in zip(fields(Probe), places, strict=True)}
        return {name: rows.numpy() for name, rows in suspicions(Probe(**columns)).items()}


def _following(attack: object) -> Follower | None:
    return attack if isinstance(attack, Follower) else None


def _is_time(step: int) -> bool:
    return step == 0 or (step >= SECOND and step & (step - 1) == 0)
