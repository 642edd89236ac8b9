"""A trained adversary as an attack: its deterministic mean, with the statistics of the end of its training."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from attacks import Noise, Target, Threat
from microbench.adversaries import METHODS
from microbench.adversaries.statistics import normalised
from microbench.adversaries.storing import Stored
from microbench.errors import UserError
from microbench.numerics.rows import BLOCK_ROWS as BLOCK


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """An adversary of `microbench adversary`; `path` is for messages.

    It belongs to one policy and one ball. Any eps is allowed: decisions are in units of it.
    """

    path: Path
    stored: Stored

    @property
    def sensors(self) -> int:
        """The number S of sensors that it observes."""
        return len(self.stored.mean)

    def check(self, victim: str, unit: str, norm: str) -> None:
        """Raise UserError unless it was trained against this policy (sha256) in this unit and norm."""
        origin = self.stored.origin
        if victim != origin.victim:
            raise UserError(
                f"{self.path} was trained against another policy ({origin.victim[:8]}…, this one is {victim[:8]}…); "
                f"train one against this policy with `microbench adversary`."
            )
        self._check_ball(unit, norm)

    def _check_ball(self, unit: str, norm: str) -> None:
        origin = self.stored.origin
        if (unit, norm) != (origin.unit, origin.norm):
            raise UserError(
                f"{self.path} was trained for a budget in {origin.unit} and {origin.norm}, not in {unit} and {norm}; "
                f"evaluate with --unit {origin.unit} --norm {origin.norm}."
            )

    @torch.no_grad()
    def decide(self, obs: Tensor) -> Tensor:
        """The decision (B, D) for obs (B, S), equal for every grouping of the rows."""
        z = normalised(obs, self.stored.mean, self.stored.std)
        x = functional.pad(z, (0, -self.sensors % BLOCK, 0, -len(obs) % BLOCK))
        *hidden, last = self._whole_blocks
        for weight, bias in hidden:
            x = torch.tanh(functional.linear(x, weight, bias))
        return functional.linear(x, *last)[: len(obs), : len(self.stored.layers[-1][1])]

    @cached_property
    def _whole_blocks(self) -> list[tuple[Tensor, Tensor]]:
        """The layers with inputs and units of weight 0 added, up to whole blocks of these as well."""
        more = [[-size % BLOCK for size in weight.shape] for weight, _ in self.stored.layers]
        return [
            (functional.pad(weight, (0, inputs, 0, outputs)), functional.pad(bias, (0, outputs)))
            for (weight, bias), (outputs, inputs) in zip(self.stored.layers, more, strict=True)
        ]

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S); ValueError if the budget is of another kind or the policy has other sensors."""
        self._check_ball(threat.unit, threat.norm)
        if len(target.scale(threat.unit)) != self.sensors:
            raise UserError(
                f"{self.path} observes {self.sensors} sensors, this policy has {len(target.scale(threat.unit))}; "
                f"evaluate the policy it was trained against."
            )
        decision = self.decide(obs[:, : self.sensors])
        return METHODS[self.stored.origin.method].show(target, obs, decision, threat, noise)
