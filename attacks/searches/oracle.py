"""The oracle attack tries every candidate in copies of the simulator; cheap attacks are compared with it.

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
    """The candidate with the lowest simulated reward over the next `horizon` steps.

    The policy acts on each candidate in its own copy of the world, and the copy goes on for `horizon − 1` more steps:

    - after the clean point, without an attack;
    - after the proposal of a cheap attack, under that attack;
    - half of the other candidates are constant changes at the edge of the ball, repeated at every step;
    - the rest are random points of the ball, followed by the first cheap attack.

    The reward of a copy stops at the end of its episode. A copy that goes on adds the value of the undisturbed action:
    by the mean of several critics, else by the critic, else 0. Only this value covers the time after the horizon, so
    that a short horizon can be weaker than a cheap attack (docs/results.md).

    The oracle is one step of policy improvement over all these continuations at once: rollout (Bertsekas, Tsitsiklis
    and Wu 1997) over several base policies (Chang, Givan and Chong 2004). If copies run to the end of the episode, the
    victim's return is no higher than under any continuation that draws nothing at random. With a shorter horizon the
    oracle is as good as its critic.

    candidates  constant changes (corners, for linf) and random points together; more find more, at a cost that grows
                with them
    horizon     steps simulated per candidate; longer rests less on critics, at a cost that grows with it
    bootstrap   whether critics add the value after the horizon
    judge       their objective; None means q_mean for several critics, else value
    cheap       attacks whose proposals are candidates; an attack is skipped if the target lacks what it needs
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
        """Raise ValueError: an observation alone holds no simulator to look ahead in."""
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
        rewards = copies.tried(candidates.flatten(0, 1), threats, noises, self.horizon, self._judge_of(target))
        return candidates[torch.arange(len(obs)), rewards.reshape(len(obs), -1).argmin(1)]

    def _judge_of(self, target: Target) -> Objective | None:
        if not self.bootstrap or self.judge is not None:
            return self.judge if self.bootstrap else None
        if target.critics is not None:
            return q_mean
        return None if target.critic is None else value


@dataclass(frozen=True, kw_only=True, eq=False)
class Copies:
    """Copies of the world (B·N). Copy i goes on under the attack `goes_on[plan[i]]`, plan (B·N,)."""

    fork: Fork
    target: Target
    goes_on: Sequence[Attack]
    plan: Tensor

    def tried(self, seen: Tensor, threat: Threat, noise: Noise, steps: int, judge: Objective | None) -> Tensor:
        """The reward (B·N,) of `steps` steps that begin with seen (B·N, S), plus the judge's value after them."""
        total = torch.zeros(len(seen), dtype=torch.float64)
        for left in reversed(range(steps)):
            obs, reward, alive = self.fork.step(seen)
            total += reward
            if not left or not alive.any():
                break
            seen = self._attacked(obs, alive, threat, noise)
        if judge is not None and alive.any():
            total[alive] += loss(judge, self.target, obs[alive], obs[alive]).double().nan_to_num()
        return total

    def _attacked(self, obs: Tensor, alive: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """The adversarial observations of obs (B·N, S), each under the attack of its copy."""
        seen = obs.clone()
        for place, attack in enumerate(self.goes_on):
            own = alive & (self.plan == place)
            if own.any():
                seen[own] = attack(self.target, obs[own], threat.rows(own), noise.rows(own))
        return threat.project(obs, seen)


def undisturbed(target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
    """The attack that returns obs (B, S) unchanged."""
    return obs


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """The same change at every step, as large as the budget allows: direction (S,) in units of eps."""

    direction: Tensor

    def __call__(self, target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        """Return seen (B, S)."""
        return threat.project(obs, threat.boundary(obs, obs + threat.scale.to(obs) * self.direction.to(obs)))


def directions(n: int, sensors: int) -> Tensor:
    """N fixed directions (n, S), the same at every step; every second one is the opposite of the one before."""
    half = np.random.default_rng(0).standard_normal(((n + 1) // 2, sensors))
    return torch.from_numpy(np.stack([half, -half], 1).reshape(-1, sensors)[:n]).float()


def _serves(target: Target, attack: Attack) -> bool:
    """Whether the target has everything in the attack's `needs`."""
    needs = getattr(attack, "needs", None)
    return needs is None or all(target.has(need) for need in needs(target))
