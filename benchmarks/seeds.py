"""Several training seeds in one program against the same seeds in processes, on the cores of this machine.

    python -m benchmarks.seeds --seeds 4 --cores 2 --rounds 9

`microbench train --seeds` starts as many processes as there are cores, of one thread each, and every process trains its
share of the seeds with stacked parameters. Beside it: one program that stacks all of them and has a thread per core,
and processes that train seed after seed, as separate commands would. All ways make the same updates and take turns
within every round.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection

import pandas as pd
import torch

from benchmarks.random_data import SIZES, random_data
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.captured import Learner, Step
from microbench.learning.cohort import Cohort
from microbench.learning.config import TrainConfig
from microbench.learning.together import update_together
from microbench.learning.train import Training
from microbench.numerics.kernels import fast_float32_matmul
from microbench.tasks import TASKS

CPU = torch.device("cpu")
ONE, SHARED, ALONE = "one program", "processes, their seeds together (--seeds)", "processes, seed after seed"


def make_runs(env_id: str, config: TrainConfig, seeds: Sequence[int], device: torch.device = CPU) -> list[Training]:
    """Runs on random data, their dynamics counted as fitted and their buffers filled."""
    task, data = TASKS[env_id], random_data(TASKS[env_id], 20_000)
    runs = [Training(data, task, ALGORITHMS["micro"], config, seed=s, device=device) for s in seeds]
    for run in runs:
        run.finish_fit()
        run.imagination.imagine(run.agent.actor)
    return runs


def stacked(runs: list[Training]) -> tuple[Learner, Step]:
    """Whose update is one of all the runs, as `microbench train` makes it, and that update."""
    if len(runs) == 1:
        return runs[0].agent, runs[0].update
    cohort = Cohort([run.agent for run in runs])
    return cohort, partial(update_together, cohort, runs)


def learner(runs: list[Training], *, together: bool) -> Callable[[int], None]:
    """What makes so many updates of every run."""
    steps = [stacked(runs)[1]] if together else [run.update for run in runs]

    def learn(updates: int) -> None:
        for step in steps:
            for _ in range(updates):
                step()

    return learn


def work(pipe: Connection, env_id: str, config: TrainConfig, seeds: Sequence[int], together: bool) -> None:
    """A process: so many updates for every number it is sent."""
    torch.set_num_threads(1)
    with fast_float32_matmul():
        learn = learner(make_runs(env_id, config, seeds), together=together)
        learn(2)
        pipe.send(True)
        with suppress(EOFError):  # the program has ended
            while True:
                learn(pipe.recv())
                pipe.send(True)


def in_processes(env_id: str, config: TrainConfig, seeds: int, cores: int, *, together: bool) -> Callable[[int], None]:
    """The same work, split over processes that wait in between."""
    context, pipes = multiprocessing.get_context("spawn"), []
    for core in range(cores):
        ours, theirs = context.Pipe()
        arguments = (theirs, env_id, config, range(core, seeds, cores), together)
        context.Process(target=work, args=arguments, daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        pipe.recv()

    def learn(updates: int) -> None:
        for pipe in pipes:
            pipe.send(updates)
        for pipe in pipes:
            pipe.recv()

    return learn


def measure(ways: dict[str, Callable[[int], None]], rounds: int, updates: int, seeds: int) -> pd.DataFrame:
    """Updates per second of all seeds together, a row per round; the first round warms up."""
    records = []
    for _ in range(rounds + 1):
        rates = {}
        for name, learn in ways.items():
            start = time.perf_counter()
            learn(updates)
            rates[name] = seeds * updates / (time.perf_counter() - start)
        records.append(rates)
    return pd.DataFrame(records[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task-sizes", choices=SIZES, default="hopper")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--updates", type=int, default=20, help="of every seed in every round")
    parser.add_argument("--real-ratio", type=float, default=TrainConfig.real_ratio)
    parser.add_argument("--estimator", choices=("independent", "paired"), default=TrainConfig.gap_estimator)
    parser.add_argument("--samples", type=int, default=TrainConfig.samples)
    options = parser.parse_args()
    torch.set_num_threads(options.cores)
    estimator = {"gap_estimator": options.estimator, "samples": options.samples}
    config = TrainConfig(alpha=0.1, rollout_batch=5000, real_ratio=options.real_ratio, **estimator)
    env_id = SIZES[options.task_sizes]
    with fast_float32_matmul():
        ways = {ONE: learner(make_runs(env_id, config, range(options.seeds)), together=True)}
        for name, together in ((SHARED, True), (ALONE, False)):
            ways[name] = in_processes(env_id, config, options.seeds, options.cores, together=together)
        rates = measure(ways, options.rounds, options.updates, options.seeds)
    best = rates[[ONE, ALONE]].max(axis=1)
    ratios = {
        f"{SHARED} / the better of the others": rates[SHARED] / best,
        f"{ONE} / {SHARED}": rates[ONE] / rates[SHARED],
    }
    print(
        f"{options.seeds} seeds, {options.cores} cores, {options.samples} {options.estimator} samples, "
        f"{options.rounds} rounds\n"
    )
    print(rates.quantile([0.25, 0.5, 0.75]).T.round(1).to_markdown())
    for name, ratio in ratios.items():
        print(f"\n{name}: {ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})")


if __name__ == "__main__":
    main()
