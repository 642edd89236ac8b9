"""The targeted attack pushes the policy to one action, by default the worst by the critic.

B batch, S observation, A action. A row's goal, and the state in which a critic evaluates it, are further columns of obs
without a budget. So they stay with their row when a search splits, repeats or pads the batch.
"""

from dataclasses import dataclass, replace
from math import isfinite

import torch
from torch import Tensor

from attacks.noise import Noise
from attacks.objectives import Objective
from attacks.searches.descent import Descend
from attacks.target import GRADIENTS, Target
from attacks.threat import Threat


def target_distance(target: Target, obs: Tensor, seen: Tensor) -> Tensor:
    """‖π(ŝ) − a*‖² with the action a* (A,) in the last columns of obs (B, S + A)."""
    action = target.policy(seen)  # (B, A)
    return (action - obs[:, obs.shape[1] - action.shape[1] :]).square().sum(-1)


def worst_action(target: Target, obs: Tensor, noise: Noise, *, steps: int = 10, restarts: int = 3) -> Tensor:
    """Return the action (B, A) with the lowest Q(s, a) that sign descent reaches in the states obs (B, S).

    The descent starts from the middle of the action box and from random actions; the box is the ball of its `Threat`.
    ValueError without a critic or a known box.
    """
    critic, (low, high) = target.require_critic(), target.require_action_box()
    actions = len(low)

    def worth(_: Target, state: Tensor, tried: Tensor) -> Tensor:
        return critic(state[:, actions:], tried[:, :actions])

    half = ((high - low) / 2).to(obs)
    box = Threat(eps=1.0, scale=torch.cat([half, half.new_zeros(obs.shape[1])]), unit="raw")
    state = torch.cat([((high + low) / 2).to(obs).expand(len(obs), -1), obs], 1)
    return Descend(objective=worth, steps=steps, restarts=restarts)(target, state, box, noise)[:, :actions]


@dataclass(frozen=True, kw_only=True)
class Targeted:
    """Descent of ‖π(ŝ) − a*‖²: the observation that brings the policy's action as near as possible to a*.

    The targeted attack of Lin et al. 2017 (arXiv:1703.06748) for continuous actions.

    action    a*: one number for all actuators, or a text with one for each ("1 -1 0.5"); None for the worst action of
              the box by the critic, computed anew in every state
    steps     gradients per start, for the action and for the observation; more come nearer, at a cost that grows with
              them
    restarts  random starts in addition to the clean point
    """

    action: float | str | None = None
    steps: int = 10
    restarts: int = 1

    def __post_init__(self) -> None:
        Descend(steps=self.steps, restarts=self.restarts)  # which refuses impossible numbers
        self._numbers()

    def objective_for(self, target: Target) -> Objective:
        """Return the objective `target_distance`, whatever the target."""
        return target_distance

    def needs(self, target: Target) -> tuple[str, ...]:
        """Return the fields of the target that it needs, and `GRADIENTS`."""
        return (GRADIENTS,) if self.action is not None else ("critic", "action_box", GRADIENTS)

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S); ValueError if the action a* has another size than the policy's."""
        size = obs.shape[1]
        goal = self._goal(target, obs, noise)  # (B, A)
        pushed = replace(target, policy=lambda seen: target.policy(seen[:, :size]))
        search = Descend(objective=target_distance, steps=self.steps, restarts=self.restarts)
        seen = search(pushed, torch.cat([obs, goal], 1), _widened(threat, goal.shape[1]), noise)
        return threat.project(obs, seen[:, :size])

    def _goal(self, target: Target, obs: Tensor, noise: Noise) -> Tensor:
        numbers = self._numbers()
        if numbers is None:
            return worst_action(target, obs, noise, steps=self.steps)
        with torch.no_grad():
            clean = target.policy(obs)  # (B, A)
        if len(numbers) not in (1, clean.shape[1]):
            raise ValueError(f"The action to aim at has {len(numbers)} numbers, the policy's have {clean.shape[1]}.")
        return torch.tensor(numbers).to(obs).expand_as(clean)

    def _numbers(self) -> list[float] | None:
        """The numbers of `action`, None if it is None; ValueError if they are none or not finite."""
        if not isinstance(self.action, str):
            return None if self.action is None else [float(self.action)]
        try:
            numbers = [float(word) for word in self.action.replace(",", " ").split()]
        except ValueError:
            numbers = []
        if not numbers or not all(map(isfinite, numbers)):
            raise ValueError(f'{self.action!r} is no action; write its numbers, as in "1 -1 0.5".')
        return numbers


def _widened(threat: Threat, columns: int) -> Threat:
    """The threat for obs with further columns, whose budget is 0."""
    low, high = (None if end is None else torch.cat([end, end.new_zeros(columns)]) for end in (threat.low, threat.high))
    scale = torch.cat([threat.scale, threat.scale.new_zeros(columns)])
    return replace(threat, scale=scale, low=low, high=high)
