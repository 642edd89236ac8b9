"""Whether dynamics that are fitted to a dataset's rows imagine the falls that are in it, and no others.

A fall that a model does not imagine is a state in which a policy believes to live on. Rows whose recorded successor is
another episode's first observation teach just that (docs/datasets.md).
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from microbench.data.dataset import Dataset, as_transitions
from microbench.data.sources import load_dataset
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.config import TrainConfig
from microbench.learning.dynamics import DynamicsEnsemble
from microbench.learning.train import Training
from microbench.numerics.kernels import fast_float32_matmul
from microbench.tasks import Task, find_task

DRAWS = 10  # imagined steps from every row, each by an elite drawn at random


def shares(model: DynamicsEnsemble, truth: Dataset, task: Task, seed: int) -> tuple[float, float]:
    """The shares of true falls that are imagined, and of other rows from which a fall is, over single steps."""
    rows, generator = as_transitions(truth, torch.device("cpu")), torch.Generator().manual_seed(seed)
    falls = torch.stack(
        [task.imagined_terminal(model.step(rows.obs, rows.action, generator)[0]) for _ in range(DRAWS)]
    ).float()
    fell = torch.from_numpy(truth.terminal)
    return float(falls[:, fell].mean()), float(falls[:, ~fell].mean())


def measure(path: Path, conventions: Sequence[str], seeds: Sequence[int], config: TrainConfig) -> pd.DataFrame:
    """A row per convention of rows and seed: what dynamics fitted to these rows imagine on all rows of the file."""
    truth = load_dataset(str(path), rows="strict")
    task = find_task(truth.env_id)
    rows = []
    for convention in conventions:
        dataset = load_dataset(str(path), rows=convention)
        followed = task.imagined_terminal(torch.from_numpy(dataset.next_obs[dataset.terminal]))
        for seed in seeds:
            training = Training(dataset, task, ALGORITHMS["micro"], config, seed=seed, device=torch.device("cpu"))
            with fast_float32_matmul():
                for _ in training.fit_dynamics(lambda event: None):
                    pass
            true, false = shares(training.model, truth, task, seed)
            rows.append(
                {
                    "rows": convention,
                    "seed": seed,
                    "falls in the rows": int(dataset.terminal.sum()),
                    "of these followed by a fallen state": f"{float(followed.float().mean()):.3f}",
                    "true falls imagined": f"{true:.3f}",
                    "false falls": f"{false:.4f}",
                }
            )
    return pd.DataFrame(rows)


def table(falls: pd.DataFrame) -> str:
    """The same in Markdown."""
    lines = ["| " + " | ".join(falls.columns) + " |", "|---" * len(falls.columns) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in falls.to_numpy())])
