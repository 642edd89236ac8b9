"""How fast an evaluation is, against the usual loop: one environment, one policy call per step, batch 1.

    python -m benchmarks.evaluation --task Hopper-v4 --checkpoint runs/latest --episodes 50 --rounds 11

Both sides run the same episodes of the same policy on one core with one thread, in turns within every round, so that a
machine that is busy is busy for both; what is counted is processor time. The loop is written as evaluation scripts of
offline reinforcement learning are: `min-q` judges 50 points and the clean one per step, `pgd` takes ten gradient steps
from the clean point and ten from a random one. The grid is mass and friction at five factors each. The table shows
medians of the rounds and of the rounds' ratios. Without a checkpoint a fresh policy is used, whose episodes are short
in tasks where one can fall.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gymnasium
import numpy as np
import pandas as pd
import torch
from mujoco import MjData, MjModel
from torch import Tensor

import perturbations
from attacks import Target
from microbench.agent import AgentConfig, make_agent
from microbench.algorithms import ALGORITHMS
from microbench.checkpoints import Checkpoint, load_own
from microbench.environment import make_env
from microbench.evaluate import Conditions, evaluate_chunk
from microbench.plan import CLEAN, Cell, chunks, plan_episodes
from microbench.runs import find_policy
from microbench.simulate import nominal_model
from microbench.tasks import Task, find_task

EPS = 0.1
GRID = [Cell(perturbation=name, factor=factor) for name in ("mass", "friction") for factor in (0.5, 0.75, 1, 1.25, 1.5)]
WORK = {
    "clean": [CLEAN],
    "random": [Cell(attack="random", eps=EPS)],
    "min-q": [Cell(attack="min-q", eps=EPS)],
    "pgd": [Cell(attack="pgd", eps=EPS)],
    "2 × 5 grid": GRID,
}
Shown = Callable[[Tensor], Tensor]  # obs (S,) → seen (S,)


def ours(checkpoint: Checkpoint, task: Task, cells: Sequence[Cell], episodes: int) -> int:
    """Our evaluator in this process; returns env steps."""
    conditions = Conditions(env_id=task.env_id)
    work = chunks(plan_episodes(cells, episodes, seed=0))
    return sum(int(evaluate_chunk(checkpoint, conditions, chunk)["length"].sum()) for chunk in work)


def loop(checkpoint: Checkpoint, task: Task, cells: Sequence[Cell], episodes: int) -> int:
    """The usual loop; returns env steps."""
    steps = 0
    for cell in cells:
        env = make_env(task.env_id)
        if cell.perturbation != "none":
            give_model(env, perturbations.build(cell.perturbation, cell.factor)(nominal_model(task)))
        shown = SEARCHES[cell.attack](checkpoint.target)
        for seed in range(episodes):
            steps += episode(env, checkpoint.target, shown, seed)
        env.close()
    return steps


def episode(env: gymnasium.Env[np.ndarray, np.ndarray], target: Target, shown: Shown, seed: int) -> int:
    """One episode, one step after the other."""
    obs, steps, over = env.reset(seed=seed)[0], 0, False
    while not over:
        seen = shown(torch.from_numpy(obs).float())
        with torch.no_grad():
            action = target.policy(seen[None])[0].numpy()
        obs, _, terminated, truncated, _ = env.step(action)
        steps, over = steps + 1, terminated or truncated
    return steps


def clean(_: Target) -> Shown:
    """No attack."""
    return lambda obs: obs


def uniform(target: Target) -> Shown:
    """A uniform point of the box."""
    half = EPS * target.scale("dataset-std")
    return lambda obs: obs + half * (2 * torch.rand_like(obs) - 1)


def min_q(target: Target) -> Shown:
    """The worst of 50 uniform points and the clean one, by the critic in the true state."""
    half, critic = EPS * target.scale("dataset-std"), target.require_critic()

    @torch.no_grad()
    def shown(obs: Tensor) -> Tensor:
        points = torch.cat([obs[None], obs + half * (2 * torch.rand(50, len(obs)) - 1)])
        best: Tensor = points[critic(obs.expand_as(points), target.policy(points)).argmin()]
        return best

    return shown


def pgd(target: Target) -> Shown:
    """Ten sign steps from the clean point and ten from a random one; the best point visited."""
    half, critic = EPS * target.scale("dataset-std"), target.require_critic()

    def shown(obs: Tensor) -> Tensor:
        best, lowest = obs, torch.inf
        for start in (obs, obs + half * (2 * torch.rand_like(obs) - 1)):
            seen = start
            for _ in range(10):
                leaf = seen.detach().requires_grad_(True)
                value = critic(obs[None], target.policy(leaf[None]))[0]
                (gradient,) = torch.autograd.grad(value, leaf)
                if value.item() < lowest:
                    best, lowest = leaf.detach(), value.item()
                seen = torch.clamp(leaf.detach() - 0.25 * half * gradient.sign(), obs - half, obs + half)
        return best

    return shown


SEARCHES: dict[str, Callable[[Target], Shown]] = {"none": clean, "random": uniform, "min-q": min_q, "pgd": pgd}


def give_model(env: gymnasium.Env[np.ndarray, np.ndarray], model: MjModel) -> None:
    """Let the environment step a changed model."""
    inner = env.unwrapped
    vars(inner).update(model=model, data=MjData(model))


def measure(checkpoint: Checkpoint, task: Task, episodes: int, rounds: int) -> pd.DataFrame:
    """Env steps per second of processor time: one row per round, columns (work, side)."""
    records = []
    for _ in range(rounds + 1):
        record = {}
        for name, cells in WORK.items():
            for side, run in (("loop", loop), ("microbench", ours)):
                began = time.process_time()
                steps = run(checkpoint, task, cells, episodes)
                record[name, side] = steps / (time.process_time() - began)
        records.append(record)
    rates = pd.DataFrame(records[1:])  # the first round warms up
    return rates.set_axis(pd.MultiIndex.from_tuples(records[0]), axis="columns")


def table(rates: pd.DataFrame) -> pd.DataFrame:
    """Medians over the rounds; ratios are formed within a round."""
    rows = {}
    for name in WORK:
        sides = rates[name]
        ratio = sides["microbench"] / sides["loop"]
        rows[name] = {
            "loop, env steps/s": f"{sides['loop'].median():,.0f}",
            "microbench, env steps/s": f"{sides['microbench'].median():,.0f}",
            "ratio": f"{ratio.median():.1f}",
            "ratio, lowest to highest": f"{ratio.min():.1f} to {ratio.max():.1f}",
        }
    return pd.DataFrame(rows).T


def fresh(task: Task) -> Checkpoint:
    """An untrained policy with the usual sizes; one unit of eps is 1 for every sensor."""
    config, sizes = AgentConfig(), (task.obs_size, task.action_size)
    agent = make_agent(*sizes, config, ALGORITHMS["micro"], seed=0, device=torch.device("cpu"))
    target = Target(
        policy=agent.actor.requires_grad_(False),
        critic=lambda obs, action: agent.critics(obs, action, frozen=True).amin(0),
        obs_scale={"dataset-std": torch.ones(task.obs_size), "raw": torch.ones(task.obs_size)},
    )
    return Checkpoint(
        path=Path("fresh"),
        sha256="0" * 64,
        family="fresh",
        env_id=task.env_id,
        algorithm="fresh",
        dataset="",
        train_seed=None,
        claim=None,
        target=target,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="Hopper-v4")
    parser.add_argument("--checkpoint", type=Path, help="run folder or policy file; a fresh policy if left out")
    parser.add_argument("--episodes", type=int, default=50, help="per cell")
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task = find_task(arguments.task)
    path = arguments.checkpoint
    checkpoint = fresh(task) if path is None else load_own(find_policy(path, path))
    rates = measure(checkpoint, task, arguments.episodes, arguments.rounds)
    print(f"{task.env_id}, {arguments.episodes} episodes per cell, {arguments.rounds} rounds, one core\n")
    print(table(rates).to_markdown(disable_numparse=True))


if __name__ == "__main__":
    main()
