"""The recipe of a training run: two runs with the same algorithm, logged rows and hyperparameters share it."""

import hashlib
import json
from dataclasses import asdict

from microbench.data.dataset import Dataset
from microbench.learning.config import TrainConfig

WATCHING = ("evaluate_every", "evaluation_episodes")
"""Settings of the evaluations during training; the policy does not depend on them."""
DIGITS = 12


def recipe_of(dataset: Dataset, algorithm: str, config: TrainConfig) -> str:
    """A short hash of everything that decides a policy except the seed and the last bits of a processor.

    Runs of one recipe differ in their seed, and perhaps in device and threads. Runs of two recipes are two policies,
    whatever their names. The dataset enters by its content, its row convention and its task.
    """
    settings = {name: value for name, value in asdict(config).items() if name not in WATCHING}
    parts = [algorithm, dataset.sha256, dataset.rows, dataset.env_id, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:DIGITS]
