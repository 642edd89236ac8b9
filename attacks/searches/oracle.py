"""What cheap attacks are measured against: an attacker who tries every candidate in copies of the world.

B rows, N candidates each, S observation. Row i·N + c is candidate c of row i.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from attacks.noise import Noise
from attacks.objectives import Objective, q_mean, value
from attacks.searches.sampling import loss
from attacks.target import Target
from attacks.threat import Threat
from attacks.world import Attack, Fork, World


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """The candidate after which the world itself pays least over the next `horizon` steps.

    Each candidate is shown to the policy in a copy of the world of its own, and the copy goes on for `horizon − 1` more
    steps: after the clean point the policy is left alone; after the proposal of a cheap attack that attack goes on;
    half of the other candidates are changes at the edge of the ball, the same at every step, which are kept up; the
    rest are fresh points of the ball, after which the first cheap attack goes on. A copy whose episode ends earns
    nothing more; for one that goes on, the value of the undisturbed action is added: by the mean of several critics,
    else by the critic if there is one. What shows later than the horizon, such as a fall being prepared, is left
    to that judgement, so that a short horizon can be weaker than a cheap attack (docs/results.md).

    So the oracle takes one step of policy improvement over the cheap attacks, the constant changes and the clean run at
    once (rollout: Bertsekas, Tsitsiklis and Wu 1997; over several base policies: Chang, Givan and Chong 2004). If
    copies are tried to the end of the episode, it leaves the victim no more than any of them does, those attacks
    excepted that draw at random; with a shorter horizon it is as good as its judgement of the rest.

    candidates  changes at the edge (corners, for linf) and fresh points together
    horizon     steps of the world that are tried
    bootstrap   whether critics judge what comes after the horizon
    judge       by which objective they do, q_mean or value if left out
    cheap       attacks whose proposals are tried; those that the target cannot serve are left out
    """

    candidates: int = 32
    horizon: int = 10
    bootstrap: bool = True
    judge: Objective | None = None
    cheap: tuple[Attack, ...] = ()

    def __post_init__(self) -> None:
        if self.candidates < 0 or self.horizon < 1:
            raise ValueError(
                f"An oracle needs candidates >= 0 and horizon >= 1, not {self.candidates} and {self.horizon}."
            )

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Raise ValueError: an observation alone says nothing of what would happen."""
        raise ValueError("The oracle tries candidates in copies of the world, so it attacks only in a simulator.")

    def in_world(self, world: World) -> Attack:
        """Return the attack on the rows of this world."""
        return partial(self._search, world)

    def _search(self, world: World, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        cheap = [attack for attack in self.cheap if _serves(target, attack)]
        kept = [Constant(direction=row) for row in directions((self.candidates + 1) // 2, obs.shape[1])]
        goes_on: list[Attack] = [undisturbed, *cheap, *kept]
        proposed = [threat.project(obs, attack(target, obs.clone(), threat, noise)) for attack in goes_on]
        fresh = threat.sample(obs, noise, self.candidates - len(kept))  # (B, fresh, S)
        candidates = torch.cat([torch.stack(proposed, 1), fresh], 1)  # (B, N, S)
        after_fresh = [min(1, len(cheap))] * fresh.shape[1]
        plan = torch.tensor([*range(len(goes_on)), *after_fresh]).repeat(len(obs))  # (B·N,) places in goes_on
        copies = Copies(fork=world.fork(candidates.shape[1]), target=target, goes_on=goes_on, plan=plan)
        row = torch.arange(len(obs)).repeat_interleave(candidates.shape[1])
        threats, noises = threat.rows(row), noise.copies(candidates.shape[1])
        paid = copies.tried(candidates.flatten(0, 1), threats, noises, self.horizon, self._judge_of(target))
        return candidates[torch.arange(len(obs)), paid.reshape(len(obs), -1).argmin(1)]

    def _judge_of(self, target: Target) -> Objective | None:
        if not self.bootstrap or self.judge is not None:
            return self.judge if self.bootstrap else None
        if target.critics is not None:
            return q_mean
        return None if target.critic is None else value


@dataclass(frozen=True, kw_only=True, eq=False)
class Copies:
    """Copies of the world (B·N), and the attack under which each goes on: its place in `goes_on` is plan (B·N,)."""

    fork: Fork
    target: Target
    goes_on: Sequence[Attack]
    plan: Tensor

    def tried(self, seen: Tensor, threat: Threat, noise: Noise, steps: int, judge: Objective | None) -> Tensor:
        """What the world pays (B·N,) in so many steps, the first of which shows seen (B·N, S), and judge's rest."""
        paid = torch.zeros(len(seen), dtype=torch.float64)
        for left in reversed(range(steps)):
            obs, reward, alive = self.fork.step(seen)
            paid += reward
            if not left or not alive.any():
                break
            seen = self._shown(obs, alive, threat, noise)
        if judge is not None and alive.any():
            paid[alive] += loss(judge, self.target, obs[alive], obs[alive]).double().nan_to_num()
        return paid

    def _shown(self, obs: Tensor, alive: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """What the policy is shown in place of obs (B·N, S)."""
        seen = obs.clone()
        for place, attack in enumerate(self.goes_on):
            own = alive & (self.plan == place)
            if own.any():
                seen[own] = attack(self.target, obs[own], threat.rows(own), noise.rows(own))
        return threat.project(obs, seen)


def undisturbed(target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
    """The attack that leaves the policy alone."""
    return obs


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """The same change at every step, as large as the budget allows: direction (S,) in units of eps."""

    direction: Tensor

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S)."""
        return threat.project(obs, threat.boundary(obs, obs + threat.scale.to(obs) * self.direction.to(obs)))


def directions(n: int, sensors: int) -> Tensor:
    """N fixed directions, each second one the opposite of the one before, (n, S): the same at every step."""
    half = np.random.default_rng(0).standard_normal(((n + 1) // 2, sensors))
    return torch.from_numpy(np.stack([half, -half], 1).reshape(-1, sensors)[:n]).float()


def _serves(target: Target, attack: Attack) -> bool:
    """Whether the target has what the attack says it needs."""
    needs = getattr(attack, "needs", None)
    return needs is None or all(target.has(need) for need in needs(target))
