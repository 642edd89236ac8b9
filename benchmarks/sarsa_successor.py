"""Measure what the shuffled successors of the published Robust Sarsa code cost its attack, on one policy.

    python -m benchmarks.sarsa_successor RUN --eps 0.1

It prints returns of `pgd` with two critics: one fitted to steps with their true successors, and one to steps followed
by random others of the same episodes. With `--steps 1` the first is the control of every fit, a critic that has learned
nothing.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from attacks import ATTACKS, Target, Threat
from microbench.checkpoints import load
from microbench.commands.units import measured, unit_of
from microbench.critics import METHODS, Fit, FittedCritic, fit
from microbench.critics.judging import on_policy
from microbench.critics.rollouts import roll_out
from microbench.critics.steps import Steps
from microbench.episodes.loop import run_episodes
from microbench.evaluation.attacked import Conditions
from microbench.learning.runs import find_policy
from microbench.numerics.kernels import fast_float32_matmul
from microbench.numerics.rows import one_thread
from microbench.seeds import CRITIC_STEP
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import Task, find_task


def shuffled(steps: Steps) -> Steps:
    """Every step followed by any other: what was done there comes along."""
    order = torch.randperm(len(steps), generator=torch.Generator().manual_seed(0))
    return replace(steps, next_obs=steps.obs[order], next_executed=steps.action[order])


def returns(target: Target, task: Task, threat: Threat, episodes: int) -> np.ndarray:
    simulator = make_simulator(task, [nominal_model(task)] * episodes)
    earned = run_episodes(target, simulator, range(episodes), ATTACKS["pgd"], threat).returns
    simulator.close()
    return earned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--eps", type=float, required=True)
    parser.add_argument("--rollouts", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--episodes", type=int, default=20)
    options = parser.parse_args()
    checkpoint = load(find_policy(options.checkpoint, Path("runs")))
    task, unit = find_task(checkpoint.env_id), unit_of(checkpoint, None)
    measured_in = measured(checkpoint, Conditions(env_id=task.env_id, unit=unit), asked=None, quiet=False)
    target = measured_in.of(checkpoint.target)
    threat = Threat(eps=options.eps, scale=target.scale(unit), unit=unit)
    config, method = Fit(steps=options.steps), METHODS["robust-sarsa"]
    print(f"{checkpoint.env_id}, pgd at {options.eps:g} {unit}, {options.episodes} episodes, {options.steps} updates")
    print("| successor | R² | return |\n|---|---|---|")
    with one_thread(), fast_float32_matmul():
        steps = roll_out(target, task, range(CRITIC_STEP, CRITIC_STEP + options.rollouts), method.noise)
        held_out = roll_out(target, task, range(CRITIC_STEP // 2, CRITIC_STEP // 2 + 20))
        for name, data in (("true", steps), ("shuffled", shuffled(steps))):
            box = torch.ones(task.action_size)
            critic: FittedCritic = fit(data, method, config, low=-box, high=box)
            earned = returns(replace(target, critic=critic), task, threat, options.episodes)
            error = earned.std(ddof=1) / len(earned) ** 0.5
            r2 = on_policy(critic, held_out, config.gamma)["r2"]
            print(f"| {name} | {r2:.2f} | {earned.mean():.0f} ± {error:.0f} |", flush=True)


if __name__ == "__main__":
    main()
