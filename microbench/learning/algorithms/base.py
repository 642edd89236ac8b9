"""The record of an algorithm: its differences from soft actor-critic on imagined data.

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
    """A batch of transitions: the first `real` rows are logged, the others were imagined by the dynamics model."""

    rows: Transitions
    real: int


@dataclass(frozen=True, kw_only=True)
class Backup:
    """The ingredients of a Bellman target: discount γ, weight β, V(s') and the members' values V_i(s, a)."""

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
    """The parts that a paper changes in model-based offline actor-critic; the defaults are SAC on imagined data."""

    bellman_target: BellmanTarget = soft_bellman_target
