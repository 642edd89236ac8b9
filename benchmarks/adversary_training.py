"""Measure the speed of an adversary's training, relative to clean evaluation of the same rows and networks.

    python -m benchmarks.adversary_training --task Hopper-v4 --task HalfCheetah-v4 --rounds 7

Both sides run equally many rows of the same simulator in one thread, and take turns within every round, so that other
load slows both alike. Times are processor times of that thread. Clean evaluation calls the policy and the adversary's
network at every step, on the true state: it neither projects nor checks a budget. Training includes samples, budgets,
restarts of episodes, advantages and updates. The policy is that of a file, or a new one with two layers of 256 units.
On both sides episodes that would end go on until 1000 steps.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attacks import Target, Threat
from benchmarks.evaluation import endless, fresh
from microbench.adversaries import METHODS
from microbench.adversaries.opponent import Opponent
from microbench.adversaries.statistics import normalised
from microbench.adversaries.training import Training, untouched
from microbench.adversaries.tries import DEFAULT
from microbench.checkpoints import load
from microbench.episodes.loop import run_episodes
from microbench.tasks import Task

STEPS = 1000  # of an episode


def clean(training: Training, target: Target, task: Task, steps: int) -> Callable[[], int]:
    """Clean evaluation of as many rows for so many steps each; returns a function that gives env steps."""
    networks, mean, std = training.networks, training.statistics.mean, training.statistics.std

    def policy(obs: Tensor) -> Tensor:
        networks.mean(normalised(obs[:, : task.obs_size], mean, std))
        return target.policy(obs)

    asked = Target(policy=policy, obs_scale=target.obs_scale, memory=target.memory)
    simulator = untouched(endless(task.env_id, steps), training.settings.rows)

    def run() -> int:
        return int(run_episodes(asked, simulator, range(training.settings.rows)).lengths.sum())

    return run


def learning(training: Training, iterations: int) -> Callable[[], int]:
    """So many iterations; returns a function that gives env steps."""
    going = training.run()

    def run() -> int:
        before = training.steps
        for _ in range(iterations):
            next(going)
        return training.steps - before

    return run


def measure(task: Task, target: Target, unit: str, method: str, rounds: int, iterations: int) -> pd.DataFrame:
    """Env steps per second of processor time, a row per round and a column per side; the first round warms up."""
    scale = target.scale(unit)
    if target.memory is not None:
        scale = torch.cat([scale, torch.zeros(len(target.memory.start))])
    opponent = Opponent(target=target, task=task, threat=Threat(eps=0.1, scale=scale, unit=unit), method=method)
    per_iteration = DEFAULT.rows * DEFAULT.horizon
    training = Training(opponent, DEFAULT, steps=(rounds + 1) * iterations * per_iteration, seed=0)
    sides = {
        "clean": clean(training, target, task, iterations * DEFAULT.horizon),
        "training": learning(training, iterations),
    }
    records = []
    for _ in range(rounds + 1):
        record = {}
        for name, run in sides.items():
            began = time.process_time()
            steps = run()
            record[name] = steps / (time.process_time() - began)
        records.append(record)
    return pd.DataFrame(records[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", help="repeat for several; Hopper-v4 and HalfCheetah-v4 if left out")
    parser.add_argument("--checkpoint", type=Path, help="a policy file, in place of a fresh policy; decides the task")
    parser.add_argument("--method", choices=sorted(METHODS), default="sa-rl")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=4, help="of training per round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = None if arguments.checkpoint is None else load(arguments.checkpoint)
    names = [checkpoint.env_id] if checkpoint else arguments.task or ["Hopper-v4", "HalfCheetah-v4"]
    print("| task | clean, env steps/s | training | training / clean |\n|---|---|---|---|")
    for env_id in names:
        task = endless(env_id, STEPS)
        target = checkpoint.target if checkpoint else fresh(task).target
        unit = next(iter(target.obs_scale))
        rates = measure(task, target, unit, arguments.method, arguments.rounds, arguments.iterations)
        ratio = rates["training"] / rates["clean"]
        text = f"{ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
        medians = np.round(rates.median()).astype(int)
        print(f"| {env_id} | {medians['clean']:,} | {medians['training']:,} | {text} |", flush=True)


if __name__ == "__main__":
    main()
