"""What makes two training runs seeds of one policy: the same algorithm, logged rows and hyperparameters."""

import hashlib
import json
from dataclasses import asdict

from microbench.data.dataset import Dataset
from microbench.learning.config import TrainConfig

WATCHING = ("evaluate_every", "evaluation_episodes")
"""Settings that look at a run and decide nothing of it."""
DIGITS = 12


def recipe_of(dataset: Dataset, algorithm: str, config: TrainConfig) -> str:
    """A short hash of everything that decides a policy but the seed and the last bits of a processor.

    Runs of one recipe differ by their seed, and perhaps by device and threads; runs of two recipes are two policies,
    whatever their names. The dataset counts by its content, by the rows that were taken from it, and by its task.
    """
    settings = {name: value for name, value in asdict(config).items() if name not in WATCHING}
    parts = [algorithm, dataset.sha256, dataset.rows, dataset.env_id, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:DIGITS]
