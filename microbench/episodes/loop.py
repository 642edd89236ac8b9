"""Episodes in lock step: one policy call and one attack call per time step for all that are still running.

Shapes: B rows still running, S obs, H memory of a recurrent policy (0 for others), A action.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Attack, Noise, Policy, Target, Threat
from attacks.checks import stochastic_policy
from attacks.world import InWorld, World
from microbench.episodes.disturbed import Disturbances
from microbench.episodes.probing import Probing
from microbench.numerics.rows import as_tensor, finite, padded
from microbench.simulators.contract import Simulator


@runtime_checkable
class ByRow(Protocol):
    """An attack that differs from row to row: it is asked at every step for that of the rows still running."""

    def for_rows(self, ids: NDArray[np.int64], /) -> Attack:
        """Return the attack `(target, obs, threat, noise) → seen` for rows ids (B,) of the simulator."""
        ...


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """The outcome of n episodes: undiscounted returns (n,), lengths (n,) in steps, and the flags of each.

    `disturbed` (n,) marks episodes in which a disturbance changed a signal.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    flags: tuple[tuple[str, ...], ...]
    disturbed: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class _Running:
    """The rows still running: their numbers ids (B,), obs (B, S) float32, memory (B, H), and the attacker's state."""

    ids: NDArray[np.int64]
    obs: Tensor
    memory: Tensor
    noise: Noise
    threat: Threat | None

    def where(self, kept: NDArray[np.bool_], lost: NDArray[np.bool_] | None = None) -> "_Running":
        """Return the rows marked in `kept` (B,), and mark the others in `lost` (n,)."""
        if kept.all():
            return self
        if lost is not None:
            lost[self.ids[~kept]] = True
        index = torch.from_numpy(kept)
        threat = None if self.threat is None else self.threat.rows(index)
        noise = self.noise.rows(index)
        return _Running(ids=self.ids[kept], obs=self.obs[index], memory=self.memory[index], noise=noise, threat=threat)


def run_episodes(
    target: Target,
    simulator: Simulator,
    seeds: Sequence[int],
    attack: Attack | ByRow | None = None,
    threat: Threat | None = None,
    disturbances: Disturbances | None = None,
    look: Callable[[NDArray[np.int64], Tensor], World] | None = None,
) -> Episodes:
    """Run one episode per row of the simulator; row i is reset with seeds[i] and attacked with that seed's own noise.

    The policy receives the adversarial observation of every step, `reset` included; the simulator steps and rewards the
    true state. Disturbances act between the two: the attack starts from the disturbed observation. The policy's action
    is clipped to the actuators' range before a disturbance changes it. This loop, not the attack, enforces and checks
    the budget.

    An episode with an observation, reward or action that is not finite ends there. It keeps its return so far and has
    the flag `nan-observation` or `nan-action`. An episode whose physics MuJoCo reset has the flag `unstable-physics`.
    If two calls of the policy on the first observations differ, all have the flag `stochastic-policy`. Otherwise
    probes check an attack that follows gradients (`probing`); they add flags and change nothing else.

    `look(ids (B,), obs (B, S + H))` makes the world of an attack that looks ahead (`attacks.world.InWorld`).

    Raises:
        AssertionError: an observation left the attack's budget after projection.
        ValueError: the attack returned no valid observation, or needs something that the target lacks.

    """
    n = simulator.n
    disturbances = disturbances or Disturbances([()] * n)
    returns, lengths = np.zeros(n), np.zeros(n, np.int64)
    first = as_tensor(disturbances.seen(simulator.reset(seeds), np.arange(n)))
    flags = {name: np.zeros(n, np.bool_) for name in ("nan-observation", "nan-action")}
    memory = target.start.expand(n, -1)
    is_stochastic = stochastic_policy(target.policy, torch.cat([first, memory], 1))
    flags["stochastic-policy"] = np.full(n, is_stochastic)
    probing = Probing(target, None if is_stochastic or isinstance(attack, ByRow) else attack, seeds)
    noise = Noise.from_seeds(seeds)
    running = _Running(ids=np.arange(n), obs=first, memory=memory, noise=noise, threat=threat)
    running = running.where(finite(running.obs.numpy()), flags["nan-observation"])
    while len(running.ids):
        obs = torch.cat([running.obs, running.memory], 1)
        seen = _shown(target, _now(attack, running.ids, obs, look), running, obs)
        probing.look(running.threat, running.ids, obs, seen)
        action, memory = deterministic_action(target.policy, seen), remembered(target, seen, obs)
        valid = finite(action) & finite(memory.numpy())
        running = replace(running, memory=memory).where(valid, flags["nan-action"])
        action = action[valid]
        if not len(running.ids):
            break
        ids = running.ids
        action = disturbances.executed(np.clip(action, simulator.action_low, simulator.action_high), ids)
        state, reward, terminated, truncated = simulator.step(action, ids, disturbances.wrench(ids))
        rewarded = np.isfinite(reward)
        returns[ids] += np.where(rewarded, reward, 0)
        lengths[ids] += 1
        running = replace(running, obs=as_tensor(disturbances.seen(state, ids)))
        sensed = rewarded & finite(running.obs.numpy())
        running = running.where(sensed, flags["nan-observation"]).where(~(terminated | truncated)[sensed])
    flags |= {"unstable-physics": simulator.unstable} | probing.flags(n)
    return Episodes(returns=returns, lengths=lengths, flags=_by_row(flags, n), disturbed=disturbances.changed)


def _now(
    attack: Attack | ByRow | None,
    ids: NDArray[np.int64],
    obs: Tensor,
    look: Callable[[NDArray[np.int64], Tensor], World] | None,
) -> Attack | None:
    """The attack on the rows ids (B,) that show obs (B, S + H)."""
    if isinstance(attack, ByRow):
        return attack.for_rows(ids)
    return attack if look is None or not isinstance(attack, InWorld) else attack.in_world(look(ids, obs))


def _shown(target: Target, attack: Attack | None, running: _Running, obs: Tensor) -> Tensor:
    """The adversarial observations (B, S + H): the attack's choice, projected into the budget."""
    threat = running.threat
    if attack is None or threat is None:
        return obs
    seen = attack(target, obs.clone(), threat, running.noise)  # a clone: writing into it must not move the ball
    seen = threat.project(obs, seen)
    assert bool(threat.inside(obs, seen).all()), "an observation left the attack's budget"
    return seen


@torch.no_grad()
def deterministic_action(policy: Policy, obs: Tensor) -> NDArray[np.float32]:
    """Actions (B, A) for obs (B, S + H), equal for every grouping of the rows."""
    action: NDArray[np.float32] = policy(padded(obs))[: len(obs)].float().numpy()
    return action


@torch.no_grad()
def remembered(target: Target, seen: Tensor, obs: Tensor) -> Tensor:
    """The memory (B, H) of the next step, after the policy received seen (B, S + H) in place of obs."""
    if target.memory is None:
        return seen[:, :0]
    return target.memory.advance(padded(seen), padded(obs))[: len(seen)]


def _by_row(flags: Mapping[str, NDArray[np.bool_]], n: int) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(name for name, rows in flags.items() if rows[row]) for row in range(n))
