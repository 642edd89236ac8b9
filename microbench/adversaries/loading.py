"""Learned observation adversaries as the attack `adversary:FILE`: those of `microbench adversary`, SA-RL and ATLA.

Zhang et al. 2021, arXiv:2101.08452, train a network ν with one output per sensor against one frozen policy. The attack
is its deterministic mean: δ = eps·clip(ν(z), ±1) in the victim's own normalised observations z. Those of
`microbench adversary` are in `adversaries.learned`.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from attacks import Memory, Noise, Target, Threat
from microbench.adversaries.learned import Learned
from microbench.adversaries.storing import parse_adversary
from microbench.checkpoints.containers.content import Content, read_content, state_dict
from microbench.checkpoints.containers.damage import telling
from microbench.checkpoints.layers import Function
from microbench.checkpoints.readers.sa_ppo import first_environment, network, z_filter
from microbench.errors import UserError

PREFIX = "adversary:"
UNIT = "policy-norm"


@dataclass(frozen=True, kw_only=True, eq=False)
class Adversary:
    """A network that gives the change of every observation in units of eps: `direction` (B, S + M) → (B, S).

    A recurrent adversary (an LSTM) has M numbers of memory, others 0; they are columns after the policy's own memory.
    """

    path: Path
    sensors: int
    direction: Function
    memory: Memory | None = None

    def remembering(self, target: Target) -> Target:
        """The target whose rows hold the adversary's memory after their own, as this attack needs it."""
        mine, theirs = self.memory, target.memory
        if mine is None:
            return target
        known = self.sensors + (0 if theirs is None else len(theirs.start))
        critic, critics, value = target.critic, target.critics, target.state_value
        distribution = target.distribution

        def advance(seen: Tensor, obs: Tensor) -> Tensor:
            parts = [] if theirs is None else [theirs.advance(seen[:, :known], obs[:, :known])]
            alone = torch.cat([obs[:, : self.sensors], obs[:, known:]], 1)
            return torch.cat([*parts, mine.advance(alone, alone)], 1)

        return replace(
            target,
            policy=lambda seen: target.policy(seen[:, :known]),
            critic=None if critic is None else lambda obs, action: critic(obs[:, :known], action),
            critics=None if critics is None else lambda obs, action: critics(obs[:, :known], action),
            state_value=None if value is None else lambda seen: value(seen[:, :known]),
            distribution=None if distribution is None else lambda seen: distribution(seen[:, :known]),
            memory=Memory(start=torch.cat([*([] if theirs is None else [theirs.start]), mine.start]), advance=advance),
        )

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S); ValueError if the budget is in another unit or the policy has other sensors."""
        if threat.unit != UNIT or len(target.scale(UNIT)) != self.sensors:
            raise UserError(
                f"{self.path} is an adversary of {self.sensors} sensors with a budget in {UNIT}; evaluate the policy "
                f"it was trained against (its own file holds it) with --unit {UNIT}."
            )
        with torch.no_grad():
            remembered = 0 if self.memory is None else len(self.memory.start)
            own = obs[:, obs.shape[1] - remembered :]
            push = self.direction(torch.cat([obs[:, : self.sensors], own], 1)).clamp(-1, 1)
        rest = push.new_zeros(len(obs), obs.shape[1] - self.sensors)  # no attack changes a memory
        return obs + threat.half_width.to(obs) * torch.cat([push, rest], 1)


def load_adversary(path: Path) -> Adversary | Learned:
    """The adversary of a file of `microbench adversary` or of an attack-….model file.

    Raises:
        UserError: the file is missing, or holds no adversary.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        raise UserError(f"there is no adversary file {path}; train one with `microbench adversary`.")
    stat = path.stat()
    return _read(path, (stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=4)
def _read(path: Path, stamp: tuple[int, int]) -> Adversary | Learned:
    """The adversary, read once per process while the file has this stamp, because every chunk needs it."""
    content = read_content(path)
    if content.kind == "safetensors":
        return Learned(path=path, stored=parse_adversary(path, content.raw))
    return _atla(content)


def _atla(content: Content) -> Adversary:
    path = content.path
    with telling(path), torch.no_grad():
        tensors = state_dict(content.entry("adversary_policy_model"))
        if not tensors:
            raise UserError(f"{path} holds no adversary_policy_model; expected a file that ATLA wrote when attacking.")
        norm = z_filter(content, first_environment(content))
        direction, memory, sizes = network(tensors, norm, "tanh")
        if sizes[0] != sizes[-1] or len(norm.std) != sizes[0]:
            raise ValueError(f"an adversary with {sizes[0]} inputs and {sizes[-1]} outputs")
    return Adversary(path=path, sensors=sizes[0], direction=direction, memory=memory)
