"""SA-RL: an adversary that decides the observation itself (Zhang et al. 2021, arXiv:2101.08452)."""

import torch
from torch import Tensor

from attacks import Noise, Target, Threat


def show(target: Target, obs: Tensor, decision: Tensor, threat: Threat, noise: Noise) -> Tensor:
    """Return seen (B, S + H) = s + eps·scale·clip(ν, ±1) for decisions ν (B, S), projected into the ball.

    S sensors, H memory of a recurrent victim, which stays unchanged. A box without bounds needs no projection, which
    makes training faster.
    """
    still = obs.new_zeros(len(obs), obs.shape[1] - decision.shape[1])
    pushed = obs + threat.half_width.to(obs) * torch.cat([decision.clamp(-1, 1), still], 1)
    return pushed if threat.norm == "linf" and not threat.bounded else threat.project(obs, pushed)
