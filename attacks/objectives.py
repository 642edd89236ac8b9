"""What an attacker minimises: pure functions (target, obs (B, S), seen (B, S)) → (B,).

obs is the true state, seen is what the policy is shown. The critic always judges the true state: with `seen`
in both places the search finds states of low value instead of bad actions.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.distributions import Normal

from attacks.target import Target

Objective = Callable[[Target, Tensor, Tensor], Tensor]


def value(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """Q(s, π(ŝ)), the worth in the true state of the action taken on the shown one ("min-Q").

    Yang et al. 2022, RORL (arXiv:2206.02829), with the critic's own reduction of its ensemble. ValueError if
    the target has no critic.
    """
    return target.require_critic()(obs, target.policy(seen))


def action_difference(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """−‖π(ŝ) − π(s)‖², the squared change of the executed action; its gradient is zero at ŝ = s."""
    with torch.no_grad():
        clean = target.policy(obs)  # (B, A)
    return -(target.policy(seen) - clean).square().sum(-1)


def action_kl(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """−KL(π(s)‖π(ŝ)) − KL(π(ŝ)‖π(s)) of the Gaussians *before* the tanh, summed over action dimensions.

    RORL (arXiv:2206.02829). Its gradient is zero at ŝ = s. ValueError if the target has no distribution: a
    deterministic action has no KL, and the plain distance is another attack (action_difference).
    """
    distribution = target.require_distribution()
    with torch.no_grad():
        clean = distribution(obs)
    shown = distribution(seen)
    return -(_kl(clean, shown) + _kl(shown, clean))


OBJECTIVES: Mapping[str, Objective] = {
    objective.__name__: objective for objective in (value, action_difference, action_kl)
}
"""What `NAME(objective=…)` may say."""

STATIONARY_AT_CLEAN: frozenset[Objective] = frozenset({action_difference, action_kl})


def default(target: Target) -> Objective:
    """Return `value` if the target has a critic, else `action_difference`."""
    return action_difference if target.critic is None else value


def _kl(p: Normal, q: Normal) -> Tensor:
    """KL(p‖q) = Σ log(σ_q/σ_p) + (σ_p² + (μ_p − μ_q)²)/(2σ_q²) − 1/2, (B,)."""
    distance = (p.scale.square() + (p.loc - q.loc).square()) / (2 * q.scale.square())
    return (torch.log(q.scale / p.scale) + distance - 0.5).sum(-1)
