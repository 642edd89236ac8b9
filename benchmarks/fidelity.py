"""Compare our trainer with the MICRO authors' code, on the same dataset and with the same hyperparameters.

    python -m benchmarks.fidelity runs/fidelity --reference CHECKOUT --seeds 0 1 2 --updates 20000
    python -m benchmarks.fidelity runs/fidelity --report
    python -m benchmarks.fidelity runs/fidelity --falls PATH.hdf5 --rows reference qlearning --seeds 0 1

Every run writes a file of scores into the folder. Existing files are kept, so that the runs of both sides can be spread
over time and processes (`--side ours`). Dataset, hyperparameters, number of updates, evaluation episodes and simulator
are the same for both; random numbers are not. The defaults are the paper's for the bundled dataset, except for smaller
batches and rollouts and the faster float32 kernel. They shorten the reference's days to minutes. `--falls` fits our
dynamics alone, to the rows of a file, and counts the falls that they imagine. CHECKOUT is a copy of
xiaoyinliu0714/MICRO: its networks, dynamics, policy and buffer are imported by path; none of its code is in here.
"""

import argparse
import contextlib
import io
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks import falls
from benchmarks.reference import import_parts, make_buffers, make_policy, nothing, seed_everything
from microbench.data.dataset import Dataset
from microbench.data.sources import DEFAULT_DATASET, load_dataset
from microbench.episodes.returns import clean_returns
from microbench.learning.agent import Agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.config import TrainConfig, load_preset
from microbench.learning.train import Training
from microbench.numerics.kernels import fast_float32_matmul
from microbench.tasks import Task, find_task, normalized_score
from reports.files import replace
from reports.statistics.means import mean_interval, no_interval

SIDES = ("ours", "reference")
EVERY = 2000  # updates between two scores; an epoch has 1000
Score = Callable[[Any], float]
Curve = Iterator[tuple[int, float]]  # updates, score


def ours(dataset: Dataset, task: Task, config: TrainConfig, seed: int, score: Score) -> Curve:
    """Our trainer, as `microbench train` runs it."""
    training = Training(dataset, task, ALGORITHMS["micro"], config, seed=seed, device=torch.device("cpu"))
    scores: list[tuple[int, float]] = []

    def evaluate(agent: Agent, episodes: int) -> tuple[float, float]:
        scores.append(((training.epoch) * config.updates_per_epoch, score(agent.actor)))
        return 0.0, scores[-1][1]

    for _ in training.run(evaluate, lambda event: None):
        yield from scores
        scores.clear()


def reference(dataset: Dataset, config: TrainConfig, seed: int, score: Score, checkout: Path) -> Curve:
    """The reference's networks, dynamics, update and rollout, in the order of its own loop."""
    parts = import_parts(checkout)
    seed_everything(seed)
    obs_size, action_size = dataset.obs.shape[1], dataset.action.shape[1]
    policy, actor_optimiser, dynamics = make_policy(parts, config, obs_size, action_size)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(actor_optimiser, config.epochs)
    real, fake = make_buffers(parts, dataset, config)
    silent = types.SimpleNamespace(model_dir=None, **dict.fromkeys(("log", "logkv", "set_timestep"), nothing))
    silent.dumpkvs = nothing
    dynamics.save = nothing
    dynamics.train(
        real.sample_all(), silent, max_epochs=config.max_dynamics_epochs, max_epochs_since_update=config.patience
    )
    for update in range(config.epochs * config.updates_per_epoch):
        if update % config.rollout_every == 0:
            starts = real.sample(config.rollout_batch)["observations"].numpy()
            fake.add_batch(**policy.rollout(starts, config.rollout_length)[0])
        policy.learn({"real": real.sample(config.real_rows), "fake": fake.sample(config.batch - config.real_rows)})
        epoch, rest = divmod(update + 1, config.updates_per_epoch)
        if rest == 0:
            cosine.step()
            if epoch % config.evaluate_every == 0:
                yield update + 1, score(lambda obs: policy.actforward(obs, True)[0])


def measure(side: str, seed: int, config: TrainConfig, folder: Path, checkout: Path | None, episodes: int) -> None:
    """One run → FOLDER/SIDE-sSEED.csv, unless it is there."""
    path = folder / f"{side}-s{seed}.csv"
    if path.exists():
        return
    dataset = load_dataset(DEFAULT_DATASET)
    task = find_task(dataset.env_id)

    def score(policy: Any) -> float:
        return float(normalized_score(task, clean_returns(policy, task, episodes)).mean())

    began, rows = time.monotonic(), []
    if side == "ours":
        curve = ours(dataset, task, config, seed, score)
    else:
        assert checkout is not None
        curve = reference(dataset, config, seed, score, checkout)
    with contextlib.redirect_stdout(io.StringIO()), fast_float32_matmul():  # the reference prints
        for updates, reached in curve:
            rows.append({"side": side, "seed": seed, "updates": updates, "score": reached})
            print(f"{side} seed {seed}: {updates} updates, score {reached:.1f}", file=sys.stderr, flush=True)
    table = pd.DataFrame(rows).assign(seconds=round(time.monotonic() - began, 1))
    replace(path, table.to_csv(index=False).encode())


def report(folder: Path) -> str:
    """Both curves: means over seeds with 95 % t intervals, and whether these overlap."""
    runs = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*-s*.csv"))])
    lines = ["| updates | " + " | ".join(SIDES) + " | intervals overlap |", "|---|---|---|---|"]
    for updates, rows in runs.groupby("updates"):
        scores = [rows.loc[rows["side"] == side, "score"].to_numpy() for side in SIDES]
        at = [mean_interval(of, groups=range(len(of))) if len(of) else no_interval("no runs") for of in scores]
        cells = [f"{one.estimate:.1f} [{one.low:.1f}, {one.high:.1f}] (n = {one.n})" for one in at]
        known = all(one.n > 1 for one in at)  # one run has no interval
        overlap = at[0].low <= at[1].high and at[1].low <= at[0].high
        lines.append(f"| {updates} | {cells[0]} | {cells[1]} | {('yes' if overlap else 'no') if known else '–'} |")
    return "\n".join(lines)


def main() -> None:
    """Make the runs that are missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reference", type=Path, help="checkout of the reference; needed for its side")
    parser.add_argument("--side", choices=SIDES, nargs="+", default=SIDES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rollout-batch", type=int, default=10_000)
    parser.add_argument("--dynamics-epochs", type=int, default=15)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--falls", type=Path, metavar="PATH", help="only fit dynamics to this file, and count falls")
    parser.add_argument("--rows", nargs="+", default=["reference"], help="conventions of rows for --falls")
    parser.add_argument("--report", action="store_true", help="only print the table of the runs that are there")
    options = parser.parse_args()
    if options.updates < EVERY or options.updates % EVERY:
        parser.error(f"--updates must be a multiple of {EVERY}: scores are measured every so many.")
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    config = load_preset(
        "paper",
        DEFAULT_DATASET,
        epochs=options.updates // 1000,
        batch=options.batch,
        rollout_batch=options.rollout_batch,
        max_dynamics_epochs=options.dynamics_epochs,
        evaluate_every=EVERY // 1000,
    )
    if options.falls is not None:
        print(falls.table(falls.measure(options.falls, options.rows, options.seeds, config)))
        return
    if not options.report:
        for seed in options.seeds:
            for side in options.side:
                if side == "ours" or options.reference is not None:
                    measure(side, seed, config, options.folder, options.reference, options.episodes)
    print(report(options.folder))


if __name__ == "__main__":
    main()
