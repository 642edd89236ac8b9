"""What training costs, part by part: ours, and beside it the authors' reference where a checkout of it is given.

    python -m benchmarks.training --task-sizes hopper --rounds 15 --threads 1 --reference PATH

All parts run in turns within every round of one process, on random data of the task's sizes, so that a machine that is
busy is busy for all of them. Trust the ratios, which are formed within a round, more than the milliseconds. FLOPs are
counted by torch from the matrix products that really run; the floor is what these would take at the rate of one large
float32 product, which runs in the same rounds.
"""

import argparse
import dataclasses
import platform
import resource
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import reference
from microbench.algorithms import ALGORITHMS
from microbench.algorithms.micro import value_gap
from microbench.config import TrainConfig
from microbench.data.dataset import Dataset
from microbench.dynamics_fit import _pass
from microbench.imagined import never_ends
from microbench.kernels import fast_float32_matmul
from microbench.tasks import TASKS, Task
from microbench.train import Training

SIZES = {"hopper": "Hopper-v4", "halfcheetah": "HalfCheetah-v4"}
PRODUCT, SAC, MICRO, PAIRED = "float32 product", "SAC update", "MICRO update", "MICRO update, paired"
GAP, ROLLOUT, STEP = "conservative part", "rollout", "dynamics-fit step"
REFERENCE, TUNED = "reference", "reference, faster kernel"
EPOCH = "1000 updates + rollout"
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
PRODUCT_ROWS = 12_200  # those of a gap with the reference's settings


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something that is timed: what it is, whose it is, how often it runs in a round, under which kernel."""

    name: str
    run: Callable[[], object]
    repeats: int = 10
    fast: bool = True
    against: str | None = None  # the part of ours that does the same work


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
    training.finish_fit()
    training.imagination.imagine(training.agent.actor)
    return training


def our_parts(task: Task, config: TrainConfig, paired_samples: int) -> list[Part]:
    """Ours; an update includes the drawing of its batch."""
    paired_config = dataclasses.replace(config, gap_estimator="paired", samples=paired_samples)
    sac, micro, paired = (ready(task, *of) for of in (("sac", config), ("micro", config), ("micro", paired_config)))
    charged = micro.batch().rows[config.real_rows :]
    fit, values = micro.fit, micro.member_values
    order = fit._resample[:, : config.dynamics_batch]
    a, b = torch.randn(PRODUCT_ROWS, 256), torch.randn(256, 256)
    return [
        Part(name=PRODUCT, run=lambda: a @ b),
        Part(name=SAC, run=sac.update, repeats=20),
        Part(name=MICRO, run=micro.update),
        Part(name=PAIRED, run=paired.update),
        Part(name=GAP, run=lambda: value_gap(values(charged.obs, charged.action))),
        Part(name=ROLLOUT, run=lambda: micro.imagination.imagine(micro.agent.actor), repeats=1),
        Part(name=STEP, run=lambda: _pass(fit.model, fit._optimiser, *fit._train, order, config.dynamics_batch)),
    ]


def reference_parts(path: Path, task: Task, config: TrainConfig) -> list[Part]:
    """The reference's, with its default kernel and with the one that ours uses."""
    data = random_data(task, 20_000)
    made = reference.make(path, data, config)
    rows = np.concatenate([data.obs, data.action], 1), np.concatenate([data.next_obs, data.reward[:, None]], 1)
    inputs, targets = (np.stack([of[: config.dynamics_batch]] * config.members) for of in rows)
    ours = {
        MICRO: (made.update, 3),
        ROLLOUT: (made.imagine, 1),
        STEP: (lambda: made.fit(inputs, targets), 10),
    }
    return [
        Part(name=f"{whose}: {name}", run=run, repeats=repeats, fast=whose == TUNED, against=name)
        for whose in (REFERENCE, TUNED)
        for name, (run, repeats) in ours.items()
        if whose == REFERENCE or name == MICRO
    ]


def kernel(fast: bool) -> AbstractContextManager[bool]:
    """The faster kernel, or torch's own."""
    return fast_float32_matmul() if fast else nullcontext(False)


def flops(parts: list[Part]) -> pd.Series:
    """GFLOP of one run of every part."""
    counted = {}
    for part in parts:
        with FlopCounterMode(display=False) as counter:
            part.run()
        counted[part.name] = counter.get_total_flops() / 1e9
    return pd.Series(counted)


def measure(
    parts: list[Part], rounds: int, *, fast: bool = True, clock: Callable[[], float] = time.perf_counter
) -> pd.DataFrame:
    """Milliseconds per run, one row per round and one column per part; the first round warms up and is not returned."""
    records = []
    for _ in range(rounds + 1):
        spent = {}
        for part in parts:
            with kernel(fast and part.fast):
                start = clock()
                for _ in range(part.repeats):
                    part.run()
                spent[part.name] = 1000 * (clock() - start) / part.repeats
        records.append(spent)
    return pd.DataFrame(records[1:])


def with_epochs(of: pd.DataFrame) -> pd.DataFrame:
    """The table with what 1000 updates and their rollout add up to, for every kind of update in it."""
    added = of.copy()
    rollouts = {MICRO: ROLLOUT, PAIRED: ROLLOUT} | {
        f"{whose}: {MICRO}": f"{REFERENCE}: {ROLLOUT}" for whose in (REFERENCE, TUNED)
    }
    for name, rollout in rollouts.items():
        if name in of:
            added[f"{name}: {EPOCH}"] = 1000 * of[name] + of[rollout]
    return added


def table(spent: pd.DataFrame, work: pd.Series) -> pd.DataFrame:
    """Medians and quartiles over the rounds; every ratio is formed within a round."""
    spent, work = with_epochs(spent), with_epochs(work.to_frame().T).iloc[0]
    low, middle, high = (spent.quantile(share) for share in (0.25, 0.5, 0.75))
    rate = work[PRODUCT] / spent[PRODUCT]  # GFLOP per millisecond
    floors = spent.mul(rate, axis=0) / work
    return pd.DataFrame(
        {
            "ms [q25, q75]": [f"{m:,.2f} [{a:,.2f}, {b:,.2f}]" for a, m, b in zip(low, middle, high, strict=True)],
            "per s": (1000 / middle).map("{:,.1f}".format),
            "× SAC update": spent.div(spent[SAC], axis=0).median().map("{:,.2f}".format),
            "× SAC in FLOP": (work / work[SAC]).map("{:,.2f}".format),
            "GFLOP": work.map("{:,.2f}".format),
            "× the floor": floors.median().map("{:,.2f}".format),
        },
        index=spent.columns,
    )


def gains(spent: pd.DataFrame) -> pd.DataFrame:
    """How many times as fast ours is as the reference, part by part: median, lowest and highest of the rounds."""
    spent = with_epochs(spent)
    pairs = [(MICRO, MICRO), (PAIRED, MICRO), (ROLLOUT, ROLLOUT), (STEP, STEP)]
    pairs += [(f"{ours}: {EPOCH}", f"{MICRO}: {EPOCH}") for ours in (MICRO, PAIRED)]
    told = {
        (ours, whose): spent[f"{whose}: {theirs}"] / spent[ours]
        for whose in (REFERENCE, TUNED)
        for ours, theirs in pairs
        if ours in spent and f"{whose}: {theirs}" in spent
    }
    lines = [(*of, f"{ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})") for of, ratio in told.items()]
    return pd.DataFrame(lines, columns=["ours", "against", "times as fast"])


def peak_memory(options: argparse.Namespace, task: Task, config: TrainConfig) -> str:
    """Largest resident memory after a few updates and as many rollouts as the model buffer holds, of one side alone."""
    learn: Callable[[], object]
    imagine: Callable[[], object]
    if options.reference:
        made = reference.make(options.reference, random_data(task, 20_000), config)
        learn, imagine = made.update, made.imagine
    else:
        training = ready(task, "micro", config)
        learn, imagine = training.update, (lambda: training.imagine(0))
    with kernel(not options.reference):
        for run in [imagine] * (config.retain - 1) + [learn] * 3:
            run()
    unit = 1 if platform.system() == "Darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20:,.0f} MiB"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task-sizes", choices=SIZES, default="hopper")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--real-ratio", type=float, default=TrainConfig.real_ratio)
    parser.add_argument("--estimator", choices=("independent", "paired"), default=TrainConfig.gap_estimator)
    parser.add_argument("--samples", type=int, default=TrainConfig.samples, help="N in the gap")
    parser.add_argument("--paired-samples", type=int, default=2, help="N of the paired estimator beside it")
    parser.add_argument("--gap-precision", choices=("float32", "bfloat16"), default=TrainConfig.gap_precision)
    parser.add_argument("--rollout-batch", type=int, default=TrainConfig.rollout_batch)
    parser.add_argument("--kernel", choices=("fast", "default"), default="fast", help="float32 products of ours")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: for one thread on a busy machine")
    parser.add_argument("--reference", type=Path, help="a checkout of the MICRO authors' code")
    parser.add_argument("--memory", action="store_true", help="only the peak of ours or of the reference")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    config = TrainConfig(
        real_ratio=options.real_ratio,
        alpha=0.1,  # fixed for both sides
        gap_estimator=options.estimator,
        samples=options.samples,
        gap_precision=options.gap_precision,
        rollout_batch=options.rollout_batch,
    )
    task = TASKS[SIZES[options.task_sizes]]
    if options.memory:
        print(
            f"peak memory of {'the reference' if options.reference else 'ours'}: {peak_memory(options, task, config)}"
        )
        return
    parts = our_parts(task, config, options.paired_samples)
    parts += reference_parts(options.reference, task, config) if options.reference else []
    print(
        f"{options.task_sizes} sizes ({task.obs_size}, {task.action_size}), batch {config.batch}, real_ratio "
        f"{config.real_ratio}, {config.samples} {config.gap_estimator} samples (paired: {options.paired_samples}), "
        f"{config.gap_precision} gap, "
        f"rollout {config.rollout_batch:,} × {config.rollout_length}; {options.rounds} rounds, {options.threads} "
        f"thread(s), {options.clock} time, torch {torch.__version__}, faster kernel {options.kernel == 'fast'}\n"
    )
    spent = measure(parts, options.rounds, fast=options.kernel == "fast", clock=CLOCKS[options.clock])
    print(table(spent, flops(parts)).to_markdown(disable_numparse=True))
    if options.reference:
        print("\n" + gains(spent).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
