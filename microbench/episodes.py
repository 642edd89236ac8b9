"""Episodes in lock step: one policy call and one attack call per time step for all that are still running.

Shapes: B rows still running, S obs, A action.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Attack, Noise, Policy, Target, Threat
from microbench.simulate import Simulator

# Rows of a float32 network do not depend on the batch they are in, if it has a few rows and torch uses one thread:
# smaller batches take other kernels. Hence every policy call is padded to this many rows.
FEWEST_ROWS = 8


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """What came of n episodes: undiscounted returns (n,), lengths (n,) in steps, and flags per episode."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    flags: tuple[tuple[str, ...], ...]


def run_episodes(
    target: Target,
    simulator: Simulator,
    seeds: Sequence[int],
    attack: Attack | None = None,
    threat: Threat | None = None,
) -> Episodes:
    """One episode per row of the simulator, row i reset with seeds[i] and attacked with that seed's own noise.

    The policy sees what the attack makes of each observation, the one of `reset` included; the world moves on the true
    states. The budget is enforced and checked here, not by the attack. A row whose action is not a number ends there,
    flagged `nan-action`; one whose physics was reset by MuJoCo is flagged `unstable-physics`.

    Raises:
        AssertionError: an observation left the attack's budget after projection.

    """
    returns, lengths = np.zeros(simulator.n), np.zeros(simulator.n, np.int64)
    lost = np.zeros(simulator.n, bool)
    living = np.arange(simulator.n)
    noise = Noise.from_seeds(seeds)
    obs = torch.from_numpy(simulator.reset(seeds)).float()  # (B, S)
    while len(living):
        seen = obs
        if attack is not None and threat is not None:
            seen = threat.project(obs, attack(target, obs, threat, noise))
            assert bool(threat.inside(obs, seen).all()), "an observation left the attack's budget"
        action = deterministic_action(target.policy, seen)
        numbers = np.isfinite(action).all(-1)
        lost[living[~numbers]] = True
        stepped, living = np.flatnonzero(numbers), living[numbers]
        if not len(living):
            break
        action = np.clip(action[stepped], simulator.action_low, simulator.action_high)
        next_obs, reward, terminated, truncated = simulator.step(action, living)
        returns[living] += reward
        lengths[living] += 1
        going = ~(terminated | truncated)
        obs = torch.from_numpy(next_obs[going]).float()
        if not going.all() or not numbers.all():
            kept = torch.from_numpy(stepped[going])
            noise, threat = noise.rows(kept), threat.rows(kept) if threat is not None else None
        living = living[going]
    flags = _flags(lost, simulator.unstable)
    return Episodes(returns=returns, lengths=lengths, flags=flags)


@torch.no_grad()
def deterministic_action(policy: Policy, obs: Tensor) -> NDArray[np.float32]:
    """Actions (B, A) for obs (B, S), equal for every grouping of the rows."""
    rows = len(obs)
    if rows < FEWEST_ROWS:
        obs = torch.cat([obs, obs.new_zeros(FEWEST_ROWS - rows, obs.shape[1])])
    action: NDArray[np.float32] = policy(obs)[:rows].float().numpy()
    return action


def _flags(lost: NDArray[np.bool_], unstable: NDArray[np.bool_]) -> tuple[tuple[str, ...], ...]:
    names = {"nan-action": lost, "unstable-physics": unstable}
    return tuple(tuple(name for name, rows in names.items() if rows[row]) for row in range(len(lost)))
