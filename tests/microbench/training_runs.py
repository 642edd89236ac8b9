"""Trainings on the tiny world: made, brought to their end, and compared to the bit."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from microbench.data.dataset import Dataset
from microbench.learning.agent import Agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.algorithms.base import Algorithm
from microbench.learning.train import Event, Training
from tests.microbench.toys import CPU, TASK, dataset, small_config


def make(
    *,
    seed: int = 0,
    algorithm: Algorithm | str = "micro",
    data: Dataset | None = None,
    device: torch.device = CPU,
    **changes: Any,
) -> Training:
    record = ALGORITHMS[algorithm] if isinstance(algorithm, str) else algorithm
    return Training(data or dataset(), TASK, record, small_config(**changes), seed=seed, device=device)


def score(agent: Agent, episodes: int) -> tuple[float, float]:
    """A number that depends on the policy's weights."""
    weight = float(agent.actor.mean.weight.detach().sum())
    return weight, 100 * weight


def ignore(event: Event) -> None:
    pass


def finish(training: Training, listen: Callable[[Event], None] = ignore) -> Training:
    for _ in training.run(score, listen):
        pass
    return training


def numbers(training: Training) -> dict[str, Tensor]:
    agent = training.agent
    parts = {"actor": agent.actor, "critics": agent.critics, "targets": agent.target_critics, "model": training.model}
    tensors = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    return tensors | {"log_alpha": agent.log_alpha.detach(), "generator": agent.generator.get_state()}


def same(one: Training, other: Training) -> bool:
    """Bit for bit."""
    first, second = numbers(one), numbers(other)
    assert one.imagination.rows is not None
    assert other.imagination.rows is not None
    rows, others = vars(one.imagination.rows), vars(other.imagination.rows)
    return (
        all(first[key].equal(second[key]) for key in first)
        and all(rows[key].equal(others[key]) for key in rows)
        and one.log == other.log
    )
