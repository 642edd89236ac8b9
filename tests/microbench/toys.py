"""A tiny world that a dynamics ensemble learns in a second, and small networks with hand-made weights."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from microbench.data.dataset import Dataset, Transitions, as_transitions
from microbench.learning.agent import Agent, AgentConfig, make_agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.algorithms.base import Algorithm
from microbench.learning.config import TrainConfig
from microbench.learning.dynamics import DynamicsEnsemble
from microbench.learning.networks import stacked
from microbench.tasks.record import Task

CPU = torch.device("cpu")
OBS, ACTIONS = 3, 2
SMALL: dict[str, Any] = {
    "hidden": (16, 16),
    "dynamics_hidden": (12, 12, 12, 12),
    "members": 4,
    "elites": 3,
    "samples": 2,
    "rollout_batch": 40,
    "rollout_length": 3,
    "rollout_every": 5,
    "retain": 2,
    "epochs": 3,
    "updates_per_epoch": 10,
    "batch": 16,
    "real_ratio": 0.25,
    "evaluate_every": 2,
    "evaluation_episodes": 1,
    "dynamics_batch": 64,
    "max_dynamics_epochs": 3,
    "actor_lr": 1e-3,
    "critic_lr": 1e-3,
}


def leaves(next_obs: Any) -> Any:
    """The toy's own end: the first feature leaves (−1.5, 1.5), or anything is not finite."""
    return ~((abs(next_obs[:, 0]) < 1.5) & (abs(next_obs) < math.inf).all(1))


TASK = Task(env_id="Toy-v0", obs_size=OBS, action_size=ACTIONS, imagined_terminal=leaves)


def small_config(**changes: Any) -> TrainConfig:
    return TrainConfig(**(SMALL | changes))


def dataset(rows: int = 200, seed: int = 0) -> Dataset:
    """next_obs = 0.9 obs + (a, a₁ + a₂) / 5 + noise, reward = 1 + obs₁ − a₁²: nearly deterministic, nearly linear."""
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(rows, OBS)).astype(np.float32)
    action = rng.uniform(-1, 1, (rows, ACTIONS)).astype(np.float32)
    pushed = np.concatenate([action, action.sum(1, keepdims=True)], 1) / 5
    next_obs = (0.9 * obs + pushed + 0.01 * rng.normal(size=obs.shape)).astype(np.float32)
    terminal: Any = leaves(next_obs)
    return Dataset(
        name="toy",
        env_id="Toy-v0",
        sha256="0" * 64,
        obs=obs,
        action=action,
        reward=(1 + obs[:, 0] - action[:, 0] ** 2).astype(np.float32),
        next_obs=next_obs,
        terminal=terminal,
        timeout=np.zeros(rows, bool),
        episode_returns=np.zeros(0),
    )


def transitions(rows: int = 200, seed: int = 0) -> Transitions:
    return as_transitions(dataset(rows, seed), CPU)


def waves(*shape: int, start: float = 0.0) -> Tensor:
    """Numbers between −1 and 1 that no random generator has a say in."""
    count = math.prod(shape)
    return torch.sin(1.7 * torch.arange(1, count + 1, dtype=torch.float64) ** 1.1 + start).float().view(shape)


def ensemble(members: int = 4, elites: tuple[int, ...] = (0, 2, 3), seed: int = 0) -> DynamicsEnsemble:
    """An unfitted ensemble with small steps, whose weights follow from `waves`."""
    model = DynamicsEnsemble(OBS, ACTIONS, (5, 6, 5, 4), members=members, generator=torch.Generator())
    fill(model, start=seed)
    with torch.no_grad():
        model.max_log_var.fill_(-1.0)
        model.min_log_var.fill_(-3.0)
        model.input_mean.copy_(0.1 * waves(OBS + ACTIONS))
        model.input_std.copy_(1 + 0.5 * waves(OBS + ACTIONS))
    model.elites = torch.tensor(elites)
    return model


def agent(config: AgentConfig | None = None, algorithm: Algorithm | str = "micro", seed: int = 0) -> Agent:
    """An agent with hidden layers of 7 and 5 unless the config says otherwise; weights follow from `waves`."""
    record = ALGORITHMS[algorithm] if isinstance(algorithm, str) else algorithm
    learner = make_agent(OBS, ACTIONS, config or AgentConfig(hidden=(7, 5)), record, seed=seed, device=CPU)
    fill(learner.actor, start=1, size=0.5)
    fill(learner.critics, start=2)
    fill(learner.target_critics, start=3)
    return learner


def fill(network: torch.nn.Module, *, start: float, size: float = 1.0) -> None:
    """Replace every parameter by waves between −size and size."""
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.copy_(size * waves(*parameter.shape, start=start + number))


def same_members(model: DynamicsEnsemble) -> DynamicsEnsemble:
    """The ensemble with member 0's weights in every place."""
    with torch.no_grad():
        for layer in stacked(model.layers):
            layer.weight.copy_(layer.weight[:1].expand_as(layer.weight).clone())
            layer.bias.copy_(layer.bias[:1].expand_as(layer.bias).clone())
    return model


def one_line(message: object) -> bool:
    """Whether an error is one sentence on one line."""
    text = str(message)
    return "\n" not in text and text.endswith(".") and len(text) < 500


def weights(learner: Agent) -> dict[str, Tensor]:
    parts = {"actor": learner.actor, "critics": learner.critics, "targets": learner.target_critics}
    return {f"{name}.{key}": value.clone() for name, part in parts.items() for key, value in part.state_dict().items()}
