"""Clean returns of a policy in its own task, as training reports them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from attacks import Policy, Target
from microbench.episodes.loop import run_episodes
from microbench.seeds import TRAINING_EVALUATION
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import Task


def clean_returns(
    policy: Policy, task: Task, episodes: int, seed: int = TRAINING_EVALUATION.start
) -> NDArray[np.float64]:
    """Undiscounted returns (episodes,) of the deterministic policy, on the CPU, always from the same start states."""
    seeds: Sequence[int] = range(seed, seed + episodes)
    simulator = make_simulator(task, [nominal_model(task)] * episodes)

    def on_device(obs: torch.Tensor) -> torch.Tensor:
        device = next(policy.parameters()).device if isinstance(policy, torch.nn.Module) else obs.device
        return policy(obs.to(device)).cpu()

    outcome = run_episodes(Target(policy=on_device, obs_scale={}), simulator, seeds)
    simulator.close()
    return outcome.returns
