"""Departures from the reference code (docs/deviations.md) that belong to no single module."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from microbench.checkpoints import load_own, save_own
from microbench.checkpoints.own import PolicyOrigin
from microbench.data.dataset import Dataset
from microbench.episodes.returns import clean_returns
from microbench.learning.agent import AgentConfig, make_agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.seeds import TRAINING_EVALUATION
from microbench.studies.sweeps import parse_sweep
from microbench.tasks import find_task
from microbench.tasks.environment import make_env


def test_an_attack_sees_the_live_critics(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(20, 4)).astype(np.float32)
    dataset = Dataset(
        name="toy",
        env_id="InvertedPendulum-v4",
        sha256="0" * 64,
        obs=obs,
        action=rng.uniform(-1, 1, (20, 1)).astype(np.float32),
        reward=np.ones(20, np.float32),
        next_obs=obs,
        terminal=np.zeros(20, bool),
        timeout=np.zeros(20, bool),
        episode_returns=np.zeros(0),
    )
    config = AgentConfig(hidden=(8,))
    agent = make_agent(4, 1, config, ALGORITHMS["micro"], seed=0, device=torch.device("cpu"))
    with torch.no_grad():
        for parameter in agent.target_critics.parameters():
            parameter.mul_(2)
    origin = PolicyOrigin(env_id=dataset.env_id, algorithm="micro", train_seed=0, updates=1, score=None)
    (tmp_path / "policy.safetensors").write_bytes(save_own(agent, dataset, origin))
    critic = load_own(tmp_path / "policy.safetensors").target.require_critic()
    seen, action = torch.from_numpy(dataset.obs), torch.from_numpy(dataset.action)
    assert critic(seen, action).equal(agent.critics(seen, action).amin(0))
    assert not critic(seen, action).equal(agent.target_critics(seen, action).amin(0))


def test_a_temperature_at_its_bound_comes_down_at_once() -> None:
    """Beside a log α that is not cut, of which only the value is, it has nothing to make up for."""
    config = AgentConfig(hidden=(8,), alpha_lr=1e-2)
    agent = make_agent(4, 1, config, ALGORITHMS["micro"], seed=0, device=torch.device("cpu"))
    uncut = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.Adam([uncut], lr=config.alpha_lr)
    steps = {"cut": 0, "uncut": 0}
    for number in range(400):
        entropy = -3.0 if number < 100 else 3.0  # too low, then too high, for a target of −1
        log_prob = torch.full((8,), -entropy)
        agent._update_temperature(log_prob)
        loss = -(uncut * (log_prob + agent.target_entropy)).mean()
        optimiser.zero_grad()
        torch.autograd.backward([loss])
        optimiser.step()
        steps["cut"] += number >= 100 and agent.log_alpha.item() >= 0
        steps["uncut"] += number >= 100 and uncut.item() >= 0
    assert 0 < steps["cut"] < steps["uncut"] / 2


def push(obs: Tensor) -> Tensor:
    """Actions (B, 3) for Hopper, often beyond its actuators' range of ±1."""
    return 40 * obs[:, 1:4]


def test_training_watches_the_same_episodes_every_time() -> None:
    task = find_task("Hopper-v4")
    watched = clean_returns(push, task, 3)
    assert len(set(watched)) == 3
    assert np.array_equal(watched, clean_returns(push, task, 3))
    assert np.array_equal(watched[:2], clean_returns(push, task, 2))
    assert watched.tolist() == [gymnasium_return(TRAINING_EVALUATION.start + episode, cut=True) for episode in range(3)]
    assert watched[0] != gymnasium_return(TRAINING_EVALUATION.start, cut=False)


def gymnasium_return(seed: int, *, cut: bool) -> float:
    """One Hopper episode, with actions cut to the box or as they are (which their cost notices)."""
    env = make_env("Hopper-v4")
    obs, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        action = push(torch.from_numpy(obs).float()[None])[0].numpy()
        obs, reward, terminated, truncated, _ = env.step(np.clip(action, -1, 1) if cut else action)
        total, over = total + float(reward), terminated or truncated
    env.close()
    return total


@pytest.mark.parametrize("count", [2, 5, 11])
def test_a_sweep_contains_both_of_its_bounds(count: int) -> None:
    (axis,) = parse_sweep(f"mass=0.5:1.5:{count}")
    factors = axis.factors
    assert len(factors) == count
    assert (factors[0], factors[-1]) == (0.5, 1.5)
    assert np.allclose(np.diff(factors), 1 / (count - 1))
