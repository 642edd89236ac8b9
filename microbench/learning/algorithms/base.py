"""What an algorithm is: the one place where it departs from soft actor-critic on imagined data.

Shapes: B batch, E elite members of the dynamics ensemble, N samples, S obs, A action.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from microbench.data.dataset import Transitions

# V(s') of a backup: (B, S) → (B,)
StateValue = Callable[[Tensor], Tensor]
# V_i(s, a), the expected next value according to each elite member: (B, S), (B, A) → (E, B)
MemberValues = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch of transitions whose first `real` rows are logged ones; the others were imagined by the model."""

    rows: Transitions
    real: int


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a Bellman target may use: discount γ, β, V(s') and the ensemble's opinions V_i(s, a)."""

    gamma: float
    beta: float
    value: StateValue
    member_values: MemberValues


BellmanTarget = Callable[[Batch, Backup], Tensor]


def soft_bellman_target(batch: Batch, backup: Backup) -> Tensor:
    """T Q(s, a) = r + γ (1 − terminal) V(s'), shape (B,); terminal rows get r.

    Haarnoja et al. 2018, arXiv:1812.05905, eq. (2).
    """
    rows = batch.rows
    return rows.reward + backup.gamma * (1 - rows.terminal) * backup.value(rows.next_obs)


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """What a paper changes in model-based offline actor-critic; every default is plain SAC on imagined data."""

    bellman_target: BellmanTarget = soft_bellman_target
