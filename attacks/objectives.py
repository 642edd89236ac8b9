"""Objectives of attacks, which minimise them: pure functions (target, obs (B, S), seen (B, S)) → (B,).

obs is the true state s, seen the adversarial observation ŝ that the policy receives. A critic Q is always evaluated at
the true state: with ŝ in both places a search would look for states of low value instead of bad actions. Only
`state_value` does so.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.distributions import Normal

from attacks.target import Target

Objective = Callable[[Target, Tensor, Tensor], Tensor]


def value(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """Q(s, π(ŝ)), the value in the true state of the policy's action on ŝ ("min-Q").

    The critic reduces its own ensemble. Yang et al. 2022, RORL (arXiv:2206.02829). ValueError if the target has no
    critic.
    """
    return target.require_critic()(obs, target.policy(seen))


def action_difference(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """−‖π(ŝ) − π(s)‖², minus the squared change of the executed action; its gradient is zero at ŝ = s."""
    with torch.no_grad():
        clean = target.policy(obs)  # (B, A)
    return -(target.policy(seen) - clean).square().sum(-1)


def action_kl(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """−KL(π(s)‖π(ŝ)) − KL(π(ŝ)‖π(s)) of the Gaussians *before* the tanh, summed over action dimensions.

    Its gradient is zero at ŝ = s. RORL (arXiv:2206.02829). ValueError if the target has no distribution: deterministic
    actions have no KL, and their distance is another objective (`action_difference`).
    """
    distribution = target.require_distribution()
    with torch.no_grad():
        clean = distribution(obs)
    shown = distribution(seen)
    return -(_kl(clean, shown) + _kl(shown, clean))


def state_value(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """V(ŝ), the value of the adversarial observation itself; all other objectives evaluate the true state.

    Minimising it finds observations of bad states, not bad actions. Pattanaik et al. 2018 (arXiv:1712.03632), in the
    form of SA-PPO's critic attack. ValueError if the target has no V.
    """
    return target.require_state_value()(seen)


def q_mean(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """Mean over the ensemble of Q_k(s, π(ŝ)), RORL's reduction (arXiv:2206.02829); ValueError without an ensemble."""
    return _members(target, obs, seen).mean(0)


def q_first(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """Q_1(s, π(ŝ)), the first of the ensemble alone; ValueError without one."""
    return _members(target, obs, seen)[0]


def q_min(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """Minimum over the ensemble of Q_k(s, π(ŝ)), MICRO's reduction (arXiv:2312.03991); ValueError without one."""
    return _members(target, obs, seen).amin(0)


def q_std(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """−std over the ensemble of Q_k(s, π(ŝ)): lowest where the critics disagree most (RORL, arXiv:2206.02829).

    ValueError without an ensemble, or with a single critic, for which the std is not defined.
    """
    values = _members(target, obs, seen)  # (K, B)
    if len(values) < 2:
        raise ValueError(
            "The spread of critics needs at least two of them, this ensemble has one; use the attack min-q."
        )
    return -(values - values.mean(0)).square().mean(0).sqrt()


OBJECTIVES: Mapping[str, Objective] = {
    objective.__name__: objective
    for objective in (value, q_mean, q_min, q_first, q_std, action_difference, action_kl, state_value)
}
"""The objectives by name, as `NAME(objective=…)` takes them."""

NEEDS: Mapping[Objective, str] = {
    value: "critic",
    q_mean: "critics",
    q_min: "critics",
    q_first: "critics",
    q_std: "critics",
    action_kl: "distribution",
    state_value: "state_value",
}
"""The field of the target that an objective needs."""

STATIONARY_AT_CLEAN: frozenset[Objective] = frozenset({action_difference, action_kl})


def needed(objective: Objective) -> tuple[str, ...]:
    """Return the fields of a target that the objective needs."""
    return (NEEDS[objective],) if objective in NEEDS else ()


def default(target: Target) -> Objective:
    """Return `value` if the target has a critic, else `action_difference`."""
    return action_difference if target.critic is None else value


def _members(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """Q_k(s, π(ŝ)), (K, B); ValueError if the ensemble returns another shape."""
    values = target.require_critics()(obs, target.policy(seen))
    if values.ndim != 2 or values.shape[1] != len(obs):
        raise ValueError(f"An ensemble of critics must return (K, B) with B = {len(obs)}, not {tuple(values.shape)}.")
    return values


def _kl(p: Normal, q: Normal) -> Tensor:
    """KL(p‖q) = Σ log(σ_q/σ_p) + (σ_p² + (μ_p − μ_q)²)/(2σ_q²) − 1/2, (B,)."""
    distance = (p.scale.square() + (p.loc - q.loc).square()) / (2 * q.scale.square())
    return (torch.log(q.scale / p.scale) + distance - 0.5).sum(-1)
