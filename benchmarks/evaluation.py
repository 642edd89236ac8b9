"""Measure the speed of an evaluation, relative to the usual loop and to the physics alone.

    python -m benchmarks.evaluation --task Hopper-v4 --task HalfCheetah-v4 --rounds 5

Three contestants take turns within every round, so that other load slows all alike:

- the usual loop: one Gymnasium environment, one policy call per step, batch 1, one process;
- our evaluator in one process;
- our evaluator in `--workers` processes.

A fourth is `mujoco.rollout` of the same clean episodes: the physics under the policy's actions, without Python. Each
process has one thread, and times are wall times. The usual loop is that of evaluation scripts of offline reinforcement
learning. Its attacks are ours: `min-q` evaluates 50 points and the clean one per step, `pgd` takes ten gradient steps
from the clean point and ten from a random one. On all sides episodes that would end go on, so that each does the same
work; the policy is a new one with two layers of 256 units. The tables show medians of the rounds and of their ratios.
The last line adds up a whole study of 1000 steps an episode: three attacks at ten budgets and a grid of 10 × 10
dynamics, ten episodes each.
"""

import argparse
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import joblib
import numpy as np
import pandas as pd
import torch
from mujoco import MjData, MjModel
from numpy.typing import NDArray
from torch import Tensor

import perturbations
from attacks import Target
from benchmarks.simulation import long_rollout
from microbench.checkpoints import Checkpoint, Source
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, Cell, Chunk, chunks, plan_episodes
from microbench.learning.agent import AgentConfig, make_agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.simulators.contract import Simulator, nominal_model
from microbench.tasks import TASKS, Task, find_task, locomotion
from microbench.tasks.environment import make_env

EPS = 0.1
FACTORS = np.linspace(0.5, 1.5, 10).round(3).tolist()
GRID = [Cell(perturbation=f"friction={one:g},gravity", factor=other) for one in FACTORS for other in FACTORS]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """The cells, how many episodes of each are measured, and how many all of them have in a study."""

    cells: Sequence[Cell]
    loop: int
    ours: int
    study: int


WORK = {
    "clean": Work(cells=[CLEAN], loop=10, ours=400, study=0),
    "random": Work(cells=[Cell(attack="random", eps=EPS)], loop=10, ours=400, study=100),
    "min-q": Work(cells=[Cell(attack="min-q", eps=EPS)], loop=2, ours=200, study=100),
    "pgd": Work(cells=[Cell(attack="pgd", eps=EPS)], loop=1, ours=200, study=100),
    "10 × 10 grid": Work(cells=GRID, loop=1, ours=4, study=1000),
}
SIDES = ("loop", "one process", "workers")
Shown = Callable[[Tensor], Tensor]  # obs (S,) → seen (S,)


def endless(env_id: str, steps: int) -> Task:
    """The task, in this process, with episodes of exactly so many steps."""
    task = find_task(env_id)
    assert task.physics is not None
    physics = dataclasses.replace(task.physics, fallen=locomotion.never_falls)
    TASKS[env_id] = dataclasses.replace(task, horizon=steps, physics=physics)
    return TASKS[env_id]


def piece(env_id: str, steps: int, chunk: Chunk) -> int:
    """Our evaluator on a chunk, in any process; returns env steps."""
    torch.set_num_threads(1)
    task = TASKS[env_id] if TASKS[env_id].horizon == steps else endless(env_id, steps)  # once per process
    return int(evaluate_chunk(fresh(task), Conditions(env_id=env_id), chunk)["length"].sum())


def ours(task: Task, work: Work, pool: joblib.Parallel, workers: int) -> int:
    """Our evaluator in `workers` processes; returns env steps."""
    from benchmarks.evaluation import piece as importable  # not __main__'s, which other processes do not have

    cut = chunks(plan_episodes(work.cells, work.ours, seed=0), workers)
    return sum(pool(joblib.delayed(importable)(task.env_id, task.horizon, chunk) for chunk in cut))


def loop(task: Task, work: Work) -> int:
    """The usual loop; returns env steps."""
    target, steps = fresh(task).target, 0
    for cell in work.cells:
        env = make_env(task.env_id, task.horizon)
        if cell.perturbation != "none":
            give_model(env, perturbations.build(cell.perturbation, cell.factor)(nominal_model(task)))
        shown = SEARCHES[cell.attack](target)
        for seed in range(work.loop):
            steps += episode(env, target, shown, seed)
        env.close()
    return steps


def episode(env: gymnasium.Env[np.ndarray, np.ndarray], target: Target, shown: Shown, seed: int) -> int:
    """One episode, one step after the other, until its time is up."""
    obs, steps, over = env.reset(seed=seed)[0], 0, False
    while not over:
        seen = shown(torch.from_numpy(obs).float())
        with torch.no_grad():
            action = target.policy(seen[None])[0].numpy()
        obs, _, _, over, _ = env.step(action)
        steps += 1
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


@functools.lru_cache(maxsize=4)
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
        stored_score=None,
        target=target,
        source=Source(path="fresh", file_sha256="0" * 64, identity="0" * 64),
    )


def chosen_actions(task: Task, rows: int) -> NDArray[np.float32]:
    """What the policy does in clean episodes, (steps, rows, A): the physics alone then meet the same states."""
    heard: list[NDArray[np.float32]] = []

    def listening(simulator: Simulator) -> Simulator:
        step = simulator.step

        def told(action: Any, ids: Any, wrench: Any = None) -> Any:
            heard.append(action.copy())
            return step(action, ids, wrench)

        simulator.step = told  # type: ignore[method-assign]
        return simulator

    evaluate_chunk(
        fresh(task), Conditions(env_id=task.env_id), tuple(plan_episodes([CLEAN], rows, 0)), watched=listening
    )
    return np.stack(heard)


def measure(task: Task, chosen: Mapping[str, Work], rounds: int, workers: int) -> tuple[pd.DataFrame, pd.Series]:
    """Env steps per second: one row per round with columns (work, side), and the physics alone."""
    action = chosen_actions(task, rows=64)
    physics, records, limits = long_rollout(task, action), [], []
    with joblib.Parallel(n_jobs=1) as alone, joblib.Parallel(n_jobs=workers) as several:
        runs: dict[str, Callable[[Work], int]] = {
            "loop": lambda work: loop(task, work),
            "one process": lambda work: ours(task, work, alone, 1),
            "workers": lambda work: ours(task, work, several, workers),
        }
        for _ in range(rounds + 1):
            limits.append(action.shape[0] * action.shape[1] / _seconds(physics)[1])
            record = {}
            for name, work in chosen.items():
                for side in SIDES:
                    steps, seconds = _seconds(functools.partial(runs[side], work))
                    record[name, side] = steps / seconds
            records.append(record)
    rates = pd.DataFrame(records[1:])  # the first round warms up, and starts the processes
    return rates.set_axis(pd.MultiIndex.from_tuples(records[0]), axis="columns"), pd.Series(limits[1:])


def table(rates: pd.DataFrame, limit: pd.Series, workers: int) -> pd.DataFrame:
    """Medians over the rounds; ratios are formed within a round."""
    rows = {}
    for name in rates.columns.get_level_values(0).unique():
        sides = rates[name]
        single, several = (sides[side] / sides["loop"] for side in SIDES[1:])
        rows[name] = {
            "loop, env steps/s": f"{sides['loop'].median():,.0f}",
            "one process, env steps/s": f"{sides['one process'].median():,.0f}",
            f"{workers} processes, env steps/s": f"{sides['workers'].median():,.0f}",
            "one process / loop": _ratio(single),
            f"{workers} processes / loop": _ratio(several),
            "one process / physics alone": _ratio(sides["one process"] / limit),
        }
    return pd.DataFrame(rows).T


def study(rates: pd.DataFrame) -> pd.DataFrame:
    """Seconds for a whole study of 1000 steps an episode, one row per round and one column per side."""
    return pd.DataFrame(
        {side: sum(1000 * work.study / rates[name, side] for name, work in WORK.items()) for side in SIDES}
    )


def _ratio(values: pd.Series) -> str:
    return f"{values.median():.2f} ({values.min():.2f} to {values.max():.2f})"


def _seconds(run: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = run()
    return result, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", help="repeat for several; Hopper-v4 and HalfCheetah-v4 if left out")
    parser.add_argument("--work", action="append", choices=list(WORK), help="repeat for several; all if left out")
    parser.add_argument("--steps", type=int, default=100, help="per episode")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes of the last contestant")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = {name: WORK[name] for name in arguments.work or WORK}
    for env_id in arguments.task or ["Hopper-v4", "HalfCheetah-v4"]:
        task = endless(env_id, arguments.steps)
        rates, limit = measure(task, chosen, arguments.rounds, arguments.workers)
        print(f"\n{env_id}, {arguments.rounds} rounds of {arguments.steps} steps an episode")
        print(f"physics alone, one core: {limit.median():,.0f} env steps/s\n")
        print(table(rates, limit, arguments.workers).to_markdown(disable_numparse=True))
        if len(chosen) < len(WORK):
            continue
        seconds = study(rates)
        spent = ", ".join(f"{side} {seconds[side].median():,.0f} s" for side in SIDES)
        print(f"\nwhole study: {spent}; loop / workers: {_ratio(seconds['loop'] / seconds['workers'])}")


if __name__ == "__main__":
    main()
