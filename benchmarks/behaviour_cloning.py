"""Behaviour cloning of a dataset: the score that offline training has to beat.

python -m benchmarks.behaviour_cloning --seeds 0 1 2
"""

import argparse

import numpy as np
import torch
from torch.optim import Adam

from microbench.data.dataset import Dataset, as_transitions
from microbench.data.sources import DEFAULT_DATASET, load_dataset
from microbench.episodes.returns import clean_returns
from microbench.learning.networks import Actor
from microbench.tasks import find_task, normalized_score


def clone(dataset: Dataset, *, updates: int, batch: int, lr: float, seed: int) -> Actor:
    """Minimise the mean of ‖π(s) − a‖² over the logged rows (Pomerleau 1988) with the actor's deterministic head."""
    generator = torch.Generator().manual_seed(seed)
    rows = as_transitions(dataset, torch.device("cpu"))
    actor = Actor(rows.obs.shape[1], rows.action.shape[1], generator=generator)
    optimiser = Adam(actor.parameters(), lr=lr)
    for _ in range(updates):
        drawn = rows.sample(batch, generator)
        loss = (actor(drawn.obs) - drawn.action).square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return actor


def main() -> None:
    """Print one line per seed and the mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default=DEFAULT_DATASET)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--episodes", type=int, default=10)
    options = parser.parse_args()
    dataset = load_dataset(options.dataset)
    task = find_task(dataset.env_id)
    logged = normalized_score(task, dataset.episode_returns)
    print(f"{dataset.name}: {len(dataset)} rows, mean episode score {logged.mean():.2f}, best {logged.max():.2f}")
    means = []
    for seed in options.seeds:
        actor = clone(dataset, updates=options.updates, batch=options.batch, lr=options.lr, seed=seed)
        scores = normalized_score(task, clean_returns(actor, task, options.episodes))
        means.append(scores.mean())
        print(f"seed {seed}: score {scores.mean():.2f}, standard deviation over episodes {scores.std(ddof=1):.2f}")
    print(f"mean over seeds {np.mean(means):.2f}")


if __name__ == "__main__":
    main()
