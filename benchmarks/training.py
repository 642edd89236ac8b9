"""What an update costs, part by part: soft actor-critic, MICRO's gap, a rollout, a step of the dynamics fit.

    python -m benchmarks.training --task-sizes hopper --rounds 15 --threads 1

All parts run in turns within every round of one process, on random data of the task's sizes, so that a machine that
is busy is busy for all of them. Trust the ratios, which are formed within a round, more than the milliseconds.
FLOPs are counted by torch from the matrix products that really run.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from microbench.algorithms import ALGORITHMS
from microbench.algorithms.ensemble import member_values
from microbench.algorithms.micro import value_gap
from microbench.config import TrainConfig
from microbench.data.dataset import Dataset
from microbench.dynamics_fit import _pass
from microbench.imagined import never_ends
from microbench.kernels import fast_float32_matmul
from microbench.tasks import TASKS, Task
from microbench.train import Training

SIZES = {"hopper": "Hopper-v4", "halfcheetah": "HalfCheetah-v4"}
SAC, MICRO, GAP, ROLLOUT, STEP = "SAC update", "MICRO update", "conservative part", "rollout", "dynamics-fit step"
EPOCH = "1000 updates + rollout"
# How often a part runs in a round: about as long as one rollout together.
REPEATS = {SAC: 20, MICRO: 10, GAP: 10, ROLLOUT: 1, STEP: 10}


def random_data(task: Task, rows: int) -> Dataset:
    """Standard normal transitions of the task's sizes; their values decide nothing about the time."""
    rng = np.random.default_rng(0)
    obs, next_obs = rng.standard_normal((2, rows, task.obs_size), dtype=np.float32)
    return Dataset(
        name="random",
        env_id=task.env_id,
        sha256="",
        obs=obs,
        action=rng.uniform(-1, 1, (rows, task.action_size)).astype(np.float32),
        reward=rng.standard_normal(rows, dtype=np.float32),
        next_obs=next_obs,
        terminal=np.zeros(rows, bool),
        timeout=np.zeros(rows, bool),
        episode_returns=np.zeros(0),
    )


def ready(task: Task, algorithm: str, config: TrainConfig) -> Training:
    """A run whose dynamics count as fitted and whose model buffer is filled; no imagined row ever ends."""
    endless = dataclasses.replace(task, imagined_terminal=never_ends)
    data, cpu = random_data(task, 20_000), torch.device("cpu")
    training = Training(data, endless, ALGORITHMS[algorithm], config, seed=0, device=cpu)
    training.fit.finish()
    training.imagination.imagine(training.agent.actor)
    return training


def parts(task: Task, config: TrainConfig) -> dict[str, Callable[[], object]]:
    """What is timed; an update includes the drawing of its batch."""
    sac, micro = (ready(task, name, config) for name in ("sac", "micro"))
    agent, fit = micro.agent, micro.fit
    values = partial(
        member_values,
        micro.model,
        agent.pessimistic_value,
        samples=config.samples,
        paired=config.gap_estimator == "paired",
        generator=agent.generator,
    )
    charged = micro._batch().rows[config.real_rows :]
    order = fit._resample[:, : config.dynamics_batch]
    return {
        SAC: lambda: sac.agent.update(sac._batch(), values),
        MICRO: lambda: agent.update(micro._batch(), values),
        GAP: lambda: value_gap(values(charged.obs, charged.action)),
        ROLLOUT: lambda: micro.imagination.imagine(agent.actor),
        STEP: lambda: _pass(fit.model, fit._optimiser, *fit._train, order, config.dynamics_batch),
    }


def flops(runs: dict[str, Callable[[], object]]) -> pd.Series:
    """GFLOP of one run of every part."""
    counted = {}
    for name, run in runs.items():
        with FlopCounterMode(display=False) as counter:
            run()
        counted[name] = counter.get_total_flops() / 1e9
    counted[EPOCH] = 1000 * counted[MICRO] + counted[ROLLOUT]
    return pd.Series(counted)


def measure(runs: dict[str, Callable[[], object]], rounds: int) -> pd.DataFrame:
    """Milliseconds per run, one row per round and one column per part."""
    records = []
    for _ in range(rounds + 1):
        spent = {}
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(REPEATS[name]):
                run()
            spent[name] = 1000 * (time.perf_counter() - start) / REPEATS[name]
        spent[EPOCH] = 1000 * spent[MICRO] + spent[ROLLOUT]
        records.append(spent)
    return pd.DataFrame(records[1:])  # the first round warms up


def table(spent: pd.DataFrame, work: pd.Series) -> pd.DataFrame:
    """Medians and quartiles over the rounds; ratios to the SAC update are formed within a round."""
    low, middle, high = (spent.quantile(share) for share in (0.25, 0.5, 0.75))
    ratio = spent.div(spent[SAC], axis=0).median()
    return pd.DataFrame(
        {
            "ms [q25, q75]": [f"{m:,.2f} [{a:,.2f}, {b:,.2f}]" for a, m, b in zip(low, middle, high, strict=True)],
            "× SAC update": ratio.map("{:,.2f}".format),
            "GFLOP": work.map("{:,.2f}".format),
            "× SAC in FLOP": (work / work[SAC]).map("{:,.2f}".format),
            "GFLOP/s": (1000 * work / middle).map("{:,.0f}".format),
        },
        index=spent.columns,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task-sizes", choices=SIZES, default="hopper")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--real-ratio", type=float, default=TrainConfig.real_ratio)
    parser.add_argument("--estimator", choices=("independent", "paired"), default=TrainConfig.gap_estimator)
    parser.add_argument("--samples", type=int, default=TrainConfig.samples, help="N in the gap")
    parser.add_argument("--rollout-batch", type=int, default=TrainConfig.rollout_batch)
    parser.add_argument("--kernel", choices=("fast", "default"), default="fast", help="float32 matrix products")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = TrainConfig(
        real_ratio=options.real_ratio,
        gap_estimator=options.estimator,
        samples=options.samples,
        rollout_batch=options.rollout_batch,
    )
    task = TASKS[SIZES[options.task_sizes]]
    with fast_float32_matmul() if options.kernel == "fast" else nullcontext(False) as fast:
        runs = parts(task, config)
        found = table(measure(runs, options.rounds), flops(runs))
    print(
        f"{options.task_sizes} sizes ({task.obs_size}, {task.action_size}), batch {config.batch}, real_ratio "
        f"{config.real_ratio}, {config.samples} {config.gap_estimator} samples, rollout {config.rollout_batch:,} × "
        f"{config.rollout_length}; {options.rounds} rounds, {options.threads} thread(s), torch {torch.__version__}, "
        f"oneDNN's float32 kernel {'allowed' if fast else 'off'}\n"
    )
    print(found.to_markdown(disable_numparse=True))


if __name__ == "__main__":
    main()
