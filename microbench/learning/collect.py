"""Online soft actor-critic in a Gymnasium task; its replay buffer becomes a dataset in D4RL layout."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from microbench.data.dataset import Transitions
from microbench.learning.agent import Agent, AgentConfig, make_agent
from microbench.learning.algorithms.base import Algorithm, Batch
from microbench.tasks import find_task
from microbench.tasks.environment import make_env

Episode = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Settings of the online run; learning rates, batch and sizes are the usual ones of SAC."""

    env_id: str = "Hopper-v4"
    seed: int = 0
    steps: int = 1_000_000  # at most so many environment steps
    random_steps: int = 5_000  # uniform actions before learning starts
    batch: int = 256
    until_score: float | None = None  # stop when the deterministic policy's normalized score reaches this
    evaluate_every: int = 1_000  # environment steps
    evaluation_episodes: int = 10
    agent: AgentConfig = field(
        default_factory=lambda: AgentConfig(
            actor_lr=3e-4, critic_lr=3e-4, alpha_lr=3e-4, max_alpha=None, clamp_target=False
        )
    )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A report at every evaluation: environment steps so far, and the policy's normalized score."""

    step: int
    score: float


Score = Callable[[Agent, int], float]  # (agent, episodes) → mean normalized score of the deterministic policy


class _Replay:
    """The replay buffer: every transition so far, in preallocated tensors."""

    def __init__(self, capacity: int, obs_size: int, action_size: int) -> None:
        self.rows = Transitions(
            obs=torch.empty(capacity, obs_size),
            action=torch.empty(capacity, action_size),
            reward=torch.empty(capacity),
            next_obs=torch.empty(capacity, obs_size),
            terminal=torch.empty(capacity),
        )
        self.size = 0

    def add(self, **row: Any) -> None:
        for name, value in row.items():
            vars(self.rows)[name][self.size] = torch.as_tensor(value)
        self.size += 1

    def sample(self, rows: int, generator: torch.Generator) -> Transitions:
        return self.rows[torch.randint(self.size, (rows,), generator=generator)]


def collect(config: CollectConfig, score: Score, report: Callable[[Progress], None]) -> list[Episode]:
    """Train SAC from scratch and return every episode of its replay buffer, in order.

    The episode that is running at the last step is marked as truncated (`timeout`).

    Raises:
        UserError: the task's observations or actions are not vectors.

    """
    env = make_env(find_task(config.env_id).env_id)
    agent = _make_online_agent(env, config)
    replay = _Replay(config.steps, *(_size(space) for space in (env.observation_space, env.action_space)))
    generator = torch.Generator().manual_seed(config.seed + 1)
    env.action_space.seed(config.seed)
    obs, _ = env.reset(seed=config.seed)
    episodes, states, rewards, actions = [], [obs], [], []
    for step in range(1, config.steps + 1):
        action = _explore(agent, env, obs, step, config)
        next_obs, reward, terminated, truncated, _ = env.step(action)
        replay.add(obs=obs, action=action, reward=reward, next_obs=next_obs, terminal=terminated)
        states.append(next_obs)
        actions.append(action)
        rewards.append(reward)
        if step > config.random_steps:
            agent.update(Batch(rows=replay.sample(config.batch, generator), real=config.batch), _no_ensemble)
        done = _due(step, config, agent, score, report)
        obs = next_obs
        if terminated or truncated or done or step == config.steps:
            episodes.append(_episode(states, actions, rewards, terminated))
            if done:
                break
            obs, _ = env.reset()
            states, rewards, actions = [obs], [], []
    env.close()
    return episodes


def _due(step: int, config: CollectConfig, agent: Agent, score: Score, report: Callable[[Progress], None]) -> bool:
    """Evaluate if an evaluation is due; returns whether the wanted score is reached."""
    if step % config.evaluate_every or step <= config.random_steps:
        return False
    reached = score(agent, config.evaluation_episodes)
    report(Progress(step=step, score=reached))
    return config.until_score is not None and reached >= config.until_score


def _explore(
    agent: Agent, env: gymnasium.Env[Any, Any], obs: NDArray[Any], step: int, config: CollectConfig
) -> NDArray[np.float32]:
    if step <= config.random_steps:
        return np.asarray(env.action_space.sample(), np.float32)
    with torch.no_grad():
        noise = torch.randn(1, _size(env.action_space), generator=agent.generator)
        seen = torch.as_tensor(obs, dtype=torch.float32)[None]
        action: NDArray[np.float32] = agent.actor.act(seen, noise)[0].numpy()
    return action


def _episode(states: list[Any], actions: list[Any], rewards: list[Any], terminated: bool) -> Episode:
    return {
        "observations": np.asarray(states, np.float32),
        "actions": np.asarray(actions, np.float32),
        "rewards": np.asarray(rewards, np.float32),
        "terminal": np.float32(terminated).reshape(1),
        "timeout": np.float32(not terminated).reshape(1),
    }


def _make_online_agent(env: gymnasium.Env[Any, Any], config: CollectConfig) -> Agent:
    box = env.action_space
    assert isinstance(box, gymnasium.spaces.Box)
    return make_agent(
        _size(env.observation_space),
        _size(box),
        config.agent,
        Algorithm(),
        seed=config.seed,
        device=torch.device("cpu"),
        action_low=box.low.tolist(),
        action_high=box.high.tolist(),
    )


def _size(space: gymnasium.Space[Any]) -> int:
    assert space.shape is not None
    return space.shape[0]


def _no_ensemble(obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    raise AssertionError("online SAC has no dynamics ensemble")
