"""MICRO: the conservative Bellman operator (Liu et al. 2024, arXiv:2312.03991)."""

import torch
from torch import Tensor

from microbench.learning.algorithms.base import Algorithm, Backup, Batch


def value_gap(member_values: Tensor) -> Tensor:
    """f(s, a) = mean_i V_i − min_i V_i over the elite members; (E, B) → (B,), never negative.

    It is the most value that an adversary could take by choosing the next state in the ensemble's uncertainty set.
    """
    # Against the minimum first: the mean of equal numbers may round below them, the mean of zeros does not.
    return (member_values - member_values.amin(0)).mean(0)


def conservative_bellman_target(batch: Batch, backup: Backup) -> Tensor:
    """Standard backup on logged transitions, robust backup on imagined ones; shape (B,).

    (s, a) in D:            T Q(s, a) = r + γ (1 − terminal) · V(s')
    (s, a) from the model:  T Q(s, a) = r + γ (1 − terminal) · [V(s') − β · f(s, a)]

    MICRO, arXiv:2312.03991, the conservative Bellman operator. β = 1 is the full robust operator, β = 0 the standard
    one. The gap f is computed for imagined rows only, because only they use it.
    """
    rows, real = batch.rows, batch.real
    gap = value_gap(backup.member_values(rows.obs[real:], rows.action[real:]))  # (B − real,)
    penalty = torch.cat([gap.new_zeros(real), gap])
    return rows.reward + backup.gamma * (1 - rows.terminal) * (backup.value(rows.next_obs) - backup.beta * penalty)


MICRO = Algorithm(bellman_target=conservative_bellman_target)
