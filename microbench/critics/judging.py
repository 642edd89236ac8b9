"""The report of a fitted critic: its errors on episodes that it was not fitted to.

A policy looks robust to the attacks of a useless critic. So the report is stored in the critic's file.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from attacks import Critic, Target
from microbench.critics.rollouts import walk
from microbench.critics.steps import Steps, actions_of, returns_to_go
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import Task

MOST_MISSING = 0.05  # largest share of a return's weight after the end of a truncated episode
LEAST_R2 = 0.5  # smallest R² of a critic that may be trusted
PERIODS = 10  # periods of an episode for which the mean error is reported
STATES = 4  # states of every episode in which actions are tried
ACTIONS = 8  # actions tried in each state
STATES_AT_ONCE = 16  # states simulated in lock step
LATEST = 200  # latest time of a state in which actions are tried
SPREAD = 0.5  # standard deviation of tried actions around the policy's, in half-widths of the box


def on_policy(critic: Critic, steps: Steps, gamma: float) -> dict[str, Any]:
    """Q(s_t, a_t) compared with returns: R², correlation, root mean square error, and mean error by time.

    Returns of truncated episodes are completed with the critic's own value, which must not decide the result. So rows
    near such an end are left out. If episodes are too short for that, the tenth of the rows farthest from it remains.
    """
    returns, missing = returns_to_go(steps, gamma)
    last = steps.lengths.cumsum(0) - 1
    with torch.no_grad():
        q = critic(steps.obs, steps.action)
        beyond = critic(steps.next_obs[last], steps.next_intended[last])
    returns = returns + missing * beyond.repeat_interleave(steps.lengths)
    kept = missing <= max(MOST_MISSING, float(missing.sort().values[len(missing) // 10]))
    error, spread = (q - returns)[kept], returns[kept].std(correction=0)
    numbers: dict[str, Any] = {
        "steps": int(kept.sum()),
        "return_mean": float(returns[kept].mean()),
        "return_std": float(spread),
        "r2": float(1 - error.square().mean() / spread.square().clamp(min=1e-12)),
        "correlation": _correlation(q[kept], returns[kept]),
        "rmse": float(error.square().mean().sqrt()),
    }
    return numbers | {"bias": _by_time(error, steps.times[kept])}


def of_actions(
    critic: Critic, target: Target, task: Task, steps: Steps, seeds: range, gamma: float, generator: torch.Generator
) -> dict[str, float]:
    """Whether Q orders actions by their returns: it tries actions in some states, and then the policy continues.

    states         number of states in which actions lead to different returns
    ranking        mean over states of the rank correlation of Q and the discounted return of the following steps
    ranking_error  standard error of `ranking`
    damage         share of the possible loss under the action of lowest Q: 1 for an oracle, 0 for a random choice

    `steps` are the policy's own episodes with these seeds.
    """
    episode = torch.arange(len(steps.lengths)).repeat(STATES)
    times = (torch.rand(len(episode), generator=generator) * steps.lengths.clamp(max=LATEST)[episode]).long()
    obs = steps.obs[(steps.lengths.cumsum(0) - steps.lengths)[episode] + times]  # (E, S)
    half = (steps.action.amax(0) - steps.action.amin(0)) / 2
    tried = actions_of(target.policy, obs)[:, None].repeat(1, ACTIONS, 1)
    tried[:, 1:] += SPREAD * half * torch.randn(tried[:, 1:].shape, generator=generator)
    returns = _outcomes(target, task, [seeds[number] for number in episode.tolist()], times, tried, gamma)
    with torch.no_grad():
        q = critic(obs.repeat_interleave(ACTIONS, 0), tried.flatten(0, 1)).reshape(returns.shape)
    differ = returns.std(1) > 0
    ranks = torch.tensor([_correlation(_ranks(a), _ranks(b)) for a, b in zip(q[differ], returns[differ], strict=True)])
    chosen = returns.gather(1, q.argmin(1, keepdim=True)).squeeze(1)
    possible = (returns.mean(1) - returns.amin(1)).sum().clamp(min=1e-12)
    return {
        "states": len(ranks),
        "ranking": float(ranks.mean()) if len(ranks) else 0.0,
        "ranking_error": float(ranks.std() / len(ranks) ** 0.5) if len(ranks) > 1 else 1.0,
        "damage": float((returns.mean(1) - chosen).sum() / possible),
    }


def _outcomes(target: Target, task: Task, seeds: list[int], times: Tensor, tried: Tensor, gamma: float) -> Tensor:
    """Discounted returns (E, K) after the times (E,), at which actions (E, K, A) replace the policy's."""
    parts = [slice(start, start + STATES_AT_ONCE) for start in range(0, len(times), STATES_AT_ONCE)]
    return torch.cat([_outcome(target, task, seeds[part], times[part], tried[part], gamma) for part in parts])


def _outcome(target: Target, task: Task, seeds: list[int], times: Tensor, tried: Tensor, gamma: float) -> Tensor:
    count = tried.shape[1]
    when, actions = times.repeat_interleave(count), tried.flatten(0, 1)
    simulator = make_simulator(task, [nominal_model(task)] * len(actions))
    returns = torch.zeros(len(actions))

    def once(time: int, ids: NDArray[Any], action: Tensor) -> Tensor:
        return torch.where((when[ids] == time)[:, None], actions[ids], action)

    horizon = int(times.max()) + LATEST
    with closing(simulator):
        for time, step in enumerate(walk(target, simulator, [s for s in seeds for _ in range(count)], once)):
            since = time - when[step.ids]
            returns[step.ids] += torch.where(since >= 0, step.reward * gamma ** since.clamp(min=0), 0.0)
            if time >= horizon:
                break
    return returns.reshape(tried.shape[:2])


def poor(report: Mapping[str, Any]) -> str:
    """Why the critic must not be trusted, as half a sentence; empty if it may be.

    The order of actions does not count. A stable gait makes up for one odd action, so that the following return is
    mostly chance; critics with a rank correlation near 0 have led strong attacks (docs/results.md).
    """
    if report["r2"] < LEAST_R2:
        return f"its R² on held-out returns is {report['r2']:.2f}, below {LEAST_R2}"
    return ""


def _by_time(error: Tensor, times: Tensor) -> list[float]:
    """Mean error in each of ten equal periods of the longest episode; 0 for a period without rows."""
    period = times * PERIODS // (int(times.max()) + 1)
    return [float(error[period == i].mean()) if bool((period == i).any()) else 0.0 for i in range(PERIODS)]


def _ranks(values: Tensor) -> Tensor:
    return values.argsort().argsort().float()


def _correlation(a: Tensor, b: Tensor) -> float:
    correlation = torch.corrcoef(torch.stack([a, b]).double())[0, 1]
    return float(correlation.nan_to_num())
