"""The MICRO authors' own code, from a checkout that is given by path, ready to be timed beside ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.fidelity import _import, _policy
from microbench.config import TrainConfig
from microbench.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Its policy with both buffers, and the settings that its trainer would read."""

    config: TrainConfig
    policy: Any
    real: Any
    fake: Any

    def update(self) -> None:
        """Draw a batch and learn from it."""
        real = self.config.real_rows
        self.policy.learn({"real": self.real.sample(real), "fake": self.fake.sample(self.config.batch - real)})

    def imagine(self) -> None:
        """One rollout into the model buffer."""
        starts = self.real.sample(self.config.rollout_batch)["observations"].numpy()
        self.fake.add_batch(**self.policy.rollout(starts, self.config.rollout_length)[0])

    def fit(self, inputs: NDArray[np.float32], targets: NDArray[np.float32]) -> None:
        """A step of the dynamics' optimiser for every batch in (E, rows, ·)."""
        self.policy.dynamics.learn(inputs, targets, self.config.dynamics_batch)


def make(checkout: Path, dataset: Dataset, config: TrainConfig) -> Reference:
    """The reference with our settings on our rows, its dynamics unfitted, its model buffer filled once.

    No imagined row ever ends, so that the work does not depend on the weights.
    """
    parts = _import(checkout)
    np.random.seed(0)  # noqa: NPY002  # the reference draws from the global generators
    torch.manual_seed(0)
    obs_size, action_size = dataset.obs.shape[1], dataset.action.shape[1]
    policy, _, dynamics = _policy(parts, config, obs_size, action_size)
    dynamics.terminal_fn = lambda obs, action, next_obs: np.zeros((len(obs), 1), bool)
    dynamics.scaler.fit(np.concatenate([dataset.obs, dataset.action], 1))
    real, fake = (
        parts["ReplayBuffer"](rows, (obs_size,), np.float32, action_size, np.float32)
        for rows in (len(dataset), config.rollout_batch * config.rollout_length * config.retain)
    )
    names = {"observations": "obs", "actions": "action", "next_observations": "next_obs", "rewards": "reward"}
    real.load_dataset(
        {theirs: getattr(dataset, ours) for theirs, ours in names.items()} | {"terminals": dataset.terminal}
    )
    made = Reference(config=config, policy=policy, real=real, fake=fake)
    made.imagine()
    return made
