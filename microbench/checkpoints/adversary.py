"""Learned observation adversaries of SA-RL and ATLA as an attack: `adversary:FILE`.

Zhang et al. 2021, arXiv:2101.08452: a network ν of the size of the observation, trained against one frozen policy; at
test its deterministic mean decides, δ = eps·clip(ν(z), ±1) in the victim's own normalised observations z.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import attacks
from attacks import Attack, Noise, Target, Threat
from microbench.checkpoints.content import read_content, state_dict, telling
from microbench.checkpoints.layers import Function
from microbench.checkpoints.sa_ppo import first_environment, network, z_filter
from microbench.errors import UserError

PREFIX = "adversary:"
UNIT = "policy-norm"


@dataclass(frozen=True, kw_only=True, eq=False)
class Adversary:
    """A network that says for every observation where to push it: `direction` (B, S) → (B, S)."""

    path: Path
    sensors: int
    direction: Function

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S); ValueError if the budget is in another unit or the policy has other sensors."""
        if threat.unit != UNIT or len(target.scale(UNIT)) != self.sensors:
            raise UserError(
                f"{self.path} is an adversary of {self.sensors} sensors with a budget in {UNIT}; evaluate the policy "
                f"it was trained against (its own file holds it) with --unit {UNIT}."
            )
        with torch.no_grad():
            push = self.direction(obs[:, : self.sensors]).clamp(-1, 1)
        rest = push.new_zeros(len(obs), obs.shape[1] - self.sensors)  # a memory is never touched
        return obs + threat.half_width.to(obs) * torch.cat([push, rest], 1)


def find_attack(name: str) -> Attack:
    """A built-in attack, anybody's as module:name, or a learned adversary as adversary:FILE.

    Raises:
        ValueError: there is none of that name, or the file holds no such adversary.
    """
    if not name.startswith(PREFIX):
        return attacks.resolve(name)
    return load_adversary(Path(name.removeprefix(PREFIX)))


def load_adversary(path: Path) -> Adversary:
    """The adversary of an attack-….model file.

    Raises:
        UserError: there is no such file, it holds no adversary, or one that remembers (an LSTM).
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise UserError(f"there is no adversary file {path}; give adversary:FILE with a file of ATLA.")
    content = read_content(path)
    with telling(path), torch.no_grad():
        tensors = state_dict(content.entry("adversary_policy_model"))
        if not tensors:
            raise UserError(f"{path} holds no adversary_policy_model; expected a file that ATLA wrote when attacking.")
        norm = z_filter(content, first_environment(content))
        direction, memory, sizes = network(tensors, norm, "tanh")
        if memory is not None:
            raise UserError(
                f"{path} holds an adversary with an LSTM, which would need a memory of its own; use one without, or "
                f"--attack action-diff."
            )
        if sizes[0] != sizes[-1] or len(norm.std) != sizes[0]:
            raise ValueError(f"an adversary with {sizes[0]} inputs and {sizes[-1]} outputs")
    return Adversary(path=path, sensors=sizes[0], direction=direction)
