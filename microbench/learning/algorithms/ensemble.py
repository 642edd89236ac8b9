"""V_i(s, a): the value of the next state according to each member of the dynamics ensemble.

Shapes: B batch, E elite members, N samples, S obs, A action.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from microbench.learning.dynamics import Elites

# min_j Q̄_j(s, a) with a sampled from standard normal noise: (R, S), (R, A) → (R,)
PessimisticValue = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def member_values(
    elites: Elites,
    value: PessimisticValue,
    obs: Tensor,
    action: Tensor,
    *,
    samples: int,
    paired: bool,
    generator: torch.Generator,
) -> Tensor:
    """V_i = mean_n min_j Q̄_j(s'_{i,n}, a'_{i,n}), s'_{i,n} ~ N(μ_i(s, a), Σ_i(s, a)), a' ~ π; shape (E, B).

    MICRO, arXiv:2312.03991. Independent noise per member is the paper's estimator. With `paired`, all members share
    state noise and action noise (common random numbers), so that their values differ by their models alone.
    """
    mean, std = elites.next_obs(obs, action)  # (E, B, S)
    members, rows = mean.shape[:2]
    drawn = (samples, 1 if paired else members, rows)
    state_noise = _normal((*drawn, mean.shape[-1]), generator)
    action_noise = _normal((*drawn, action.shape[-1]), generator)
    next_obs = mean + std * state_noise  # (N, E, B, S)
    action_noise = action_noise.expand(samples, members, rows, -1)
    values = value(next_obs.flatten(0, 2), action_noise.flatten(0, 2))
    return values.view(samples, members, rows).mean(0)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
