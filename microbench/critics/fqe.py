"""Fitted Q evaluation (Le et al. 2019, arXiv:1903.08738) with target networks."""

from torch import Tensor

from microbench.critics.fitting import Method
from microbench.critics.steps import Steps


def intended(steps: Steps) -> Tensor:
    """π(s'), (N, A): the value is that of the deterministic policy, whichever policy made the steps."""
    return steps.next_intended


def squared_error(q: Tensor, target: Tensor) -> Tensor:
    """Mean of (Q_j(s, a) − y_j)²; both (M, B). Eq. (2) of the paper, with gradient steps in place of its regression."""
    assert q.shape == target.shape
    return (q - target).square().mean()


FQE = Method(next_action=intended, loss=squared_error, noise=(0.0, 0.1, 0.3, 0.6))
