"""PA-AD: a director chooses a change of the action, an actor searches the observation for it.

Sun et al. 2022, arXiv:2106.05087.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from attacks import Descend, Noise, Objective, Target, Threat

STEPS = 3  # gradients per time step and start; the reference takes one, near the clean point


def misdirection(actions: int) -> Objective:
    """−(cos(π(ŝ) − π(s), d) + ‖π(ŝ) − π(s)‖), (B,), with d (B, A) in the last columns of obs and seen.

    The actor's problem of the paper (equation 5), as an objective to minimise. With a direction of length 0 only the
    norm is left.
    """

    def objective(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
        with torch.no_grad():
            clean = target.policy(obs[:, :-actions])
            if clean.shape[1] != actions:
                raise ValueError(f"The adversary wants {actions} actions changed; this policy has {clean.shape[1]}.")
        change = target.policy(seen[:, :-actions]) - clean
        gained: Tensor = cosine_similarity(change, obs[:, -actions:], -1) + torch.linalg.vector_norm(change, dim=-1)
        return -gained

    return objective


def show(target: Target, obs: Tensor, decision: Tensor, threat: Threat, noise: Noise) -> Tensor:
    """Return seen (B, S + H) for directions d (B, A): the better end of two short descents of the actor's objective.

    They start at a random point of the ball and at the clean one. From the wrong side of π(s) the norm alone can lead
    away from d; at the clean point the gradient is that of the change along d. The direction is stored in columns
    without budget after the row's own, as a memory is.
    """
    rows, actions = torch.arange(len(obs)).repeat(2), decision.shape[1]
    wide = _widened(threat, actions).rows(rows)
    clean = torch.cat([obs, decision], 1)
    start = torch.cat([torch.cat([threat.sample(obs, noise, 1)[:, 0], decision], 1), clean])
    ends, losses = Descend(steps=STEPS).descend(misdirection(actions), target, clean[rows], start, wide)
    (one, other), (loss, other_loss) = ends[:, :-actions].chunk(2), losses.chunk(2)
    return threat.project(obs, torch.where((loss <= other_loss)[:, None], one, other))


def _widened(threat: Threat, columns: int) -> Threat:
    """The threat with further columns, which have no budget and no bounds."""
    scale, free = threat.scale, threat.scale.new_full((columns,), torch.inf)
    return replace(
        threat,
        scale=torch.cat([scale, scale.new_zeros(columns)]),
        low=None if threat.low is None else torch.cat([threat.low, -free]),
        high=None if threat.high is None else torch.cat([threat.high, free]),
    )
