"""Adversaries of few numbers: a linear map of the normalised observation, or one constant offset per sensor.

Shapes: B rows, S sensors, O open ones, P numbers.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Attack, Noise, Target, Threat
from microbench.adversaries import sa_rl
from microbench.adversaries.statistics import normalised

Kind = Literal["evolved", "constant"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Map:
    """How P numbers say where every sensor is pushed: u = gain·W z + b (`evolved`), or u = b (`constant`).

    z is the observation normalised by mean and std (S,). `open` (S,) marks the sensors with a budget; the others are
    observed and never pushed. The gain 2/√S keeps u of order one whatever the number of sensors.
    """

    kind: Kind
    mean: Tensor
    std: Tensor
    open: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """P: O·(S + 1) numbers, or O."""
        return int(self.open.sum()) * (1 if self.kind == "constant" else len(self.open) + 1)

    @cached_property
    def gain(self) -> float:
        """2/√S."""
        return float(2 / np.sqrt(len(self.open)))

    def layer(self, numbers: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """The map as one layer: weight (S, S) and bias (S,) in float32, 0 for sensors that are closed."""
        weight, bias = (part[0] for part in self._parts(numbers[None]))
        sensors = len(self.open)
        whole, offset = np.zeros((sensors, sensors), np.float32), np.zeros(sensors, np.float32)
        whole[self.open], offset[self.open] = weight, bias
        return torch.from_numpy(whole), torch.from_numpy(offset)

    def numbers(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
        """The P numbers of a map with weight (O, S), from z, and bias (O,): the inverse of `layer`."""
        return bias if self.kind == "constant" else np.concatenate([(weight / self.gain).ravel(), bias])

    def decisions(self, numbers: NDArray[np.float64]) -> "Decisions":
        """What each of the candidates (N, P) decides."""
        weight, bias = self._parts(numbers)
        return Decisions(map=self, weight=weight, bias=bias)

    def _parts(self, numbers: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weights (N, O, S), gain included, and biases (N, O) of candidates (N, P)."""
        shape = (len(numbers), int(self.open.sum()), len(self.open))
        if self.kind == "constant":
            return np.zeros(shape, np.float32), numbers.astype(np.float32)
        split = shape[1] * shape[2]
        weight = self.gain * numbers[:, :split].reshape(shape)
        return weight.astype(np.float32), numbers[:, split:].astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """N candidates side by side, candidate i attacking row i of the simulator (`episodes.loop.ByRow`)."""

    map: Map
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def for_rows(self, ids: NDArray[np.int64]) -> Attack:
        """The attack for these rows (B,), in their order."""

        def attack(target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
            return sa_rl.show(target, obs, self.decided(obs[:, : len(self.map.open)], ids), threat, noise)

        return attack

    def decided(self, obs: Tensor, ids: NDArray[np.int64]) -> Tensor:
        """U (B, S) for obs (B, S), each row by its own candidate; equal for every grouping of the rows."""
        push = np.zeros((len(ids), len(self.map.open)), np.float32)
        push[:, self.map.open] = self.bias[ids]
        if self.map.kind == "evolved":
            z = normalised(obs, self.map.mean, self.map.std).numpy()
            push[:, self.map.open] += np.einsum("nij,nj->ni", self.weight[ids], z)
        return torch.from_numpy(push)
