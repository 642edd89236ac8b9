"""Measure the cost of training part by part, and that of the authors' reference with `--reference CHECKOUT`.

    python -m benchmarks.training --task-sizes hopper --rounds 15 --threads 1 --reference PATH
    python -m benchmarks.training --device cuda --reference PATH

All parts run in turns within every round of one process, on random data of the task's sizes, so that other load slows
all alike. Trust the ratios, which are formed within a round, more than the milliseconds. Torch counts the FLOPs of the
matrix products that run. The floor is the time of these FLOPs at the rate of one large float32 product, which runs in
the same rounds.
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
from benchmarks.random_data import SIZES, random_data
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.algorithms.micro import value_gap
from microbench.learning.captured import launching
from microbench.learning.config import TrainConfig
from microbench.learning.cuda_graphs import CudaGraphs
from microbench.learning.dynamics_fit import _pass
from microbench.learning.train import Training
from microbench.numerics.kernels import fast_float32_matmul
from microbench.tasks import TASKS, Task
from microbench.tasks.imagined import never_ends

PRODUCT, SAC, MICRO, PAIRED = "float32 product", "SAC update", "MICRO update", "MICRO update, paired"
GAP, ROLLOUT, STEP = "conservative part", "rollout", "dynamics-fit step"
REFERENCE, TUNED = "reference", "reference, faster kernel"
EPOCH = "1000 updates + rollout"
PRODUCT_ROWS = 12_200  # those of a gap with the reference's settings


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something that is timed: what it is, whose it is, how often it runs in a round, under which kernel."""

    name: str
    run: Callable[[], object]
    repeats: int = 10
    fast: bool = True
    against: str | None = None  # the part of ours that does the same work
    counted: Callable[[], object] | None = None  # what its FLOPs are counted in, where not in `run`


def wall() -> float:
    """Seconds on the wall, once all that was launched on a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


CLOCKS = {"wall": wall, "processor": time.process_time}


def ready(task: Task, algorithm: str, config: TrainConfig, device: torch.device) -> Training:
    """A run whose dynamics count as fitted and whose model buffer is filled; no imagined row ever ends."""
    endless = dataclasses.replace(task, imagined_terminal=never_ends)
    training = Training(random_data(task, 20_000), endless, ALGORITHMS[algorithm], config, seed=0, device=device)
    training.finish_fit()
    training.imagination.imagine(training.agent.actor)
    return training


class Launched:
    """A run that launches its updates as `microbench train` does, on a GPU as graphs."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self._launch = launching(training.agent, CudaGraphs if training.device.type == "cuda" else None)
        self._step = self._launch(training.update)

    def update(self) -> object:
        """Draw a batch and learn from it."""
        return self._step()

    def imagine(self) -> None:
        """A rollout, after which updates draw from other rows."""
        self.training.imagine(0)
        self._step = self._launch(self.training.update)

    def part(self, name: str, repeats: int = 10) -> Part:
        """Its update."""
        return Part(name=name, run=self.update, repeats=repeats, counted=self.training.update)


def our_parts(task: Task, config: TrainConfig, paired_samples: int, device: torch.device) -> list[Part]:
    """Ours; an update includes the drawing of its batch."""
    paired_config = dataclasses.replace(config, gap_estimator="paired", samples=paired_samples)
    settings = (("sac", config), ("micro", config), ("micro", paired_config))
    sac, micro, paired = (Launched(ready(task, *of, device)) for of in settings)
    charged = micro.training.batch().rows[config.real_rows :]
    fit, values = micro.training.fit, micro.training.member_values
    order = fit._resample[:, : config.dynamics_batch]
    a, b = torch.randn(PRODUCT_ROWS, 256, device=device), torch.randn(256, 256, device=device)
    return [
        Part(name=PRODUCT, run=lambda: a @ b),
        sac.part(SAC, repeats=20),
        micro.part(MICRO),
        paired.part(PAIRED),
        Part(name=GAP, run=lambda: value_gap(values(charged.obs, charged.action))),
        Part(name=ROLLOUT, run=micro.imagine, repeats=1),
        Part(name=STEP, run=lambda: _pass(fit.model, fit._optimiser, *fit._train, order, config.dynamics_batch)),
    ]


def reference_parts(path: Path, task: Task, config: TrainConfig, device: torch.device) -> list[Part]:
    """The reference's, with its default kernel and with the one that ours uses."""
    data = random_data(task, 20_000)
    theirs = reference.make(path, data, config, str(device))
    rows = np.concatenate([data.obs, data.action], 1), np.concatenate([data.next_obs, data.reward[:, None]], 1)
    inputs, targets = (np.stack([of[: config.dynamics_batch]] * config.members) for of in rows)
    ours = {
        MICRO: (theirs.update, 3),
        ROLLOUT: (theirs.imagine, 1),
        STEP: (lambda: theirs.fit(inputs, targets), 10),
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
            (part.counted or part.run)()
        counted[part.name] = counter.get_total_flops() / 1e9
    return pd.Series(counted)


def measure(parts: list[Part], rounds: int, *, fast: bool = True, clock: Callable[[], float] = wall) -> pd.DataFrame:
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
    ratios = {
        (ours, whose): spent[f"{whose}: {theirs}"] / spent[ours]
        for whose in (REFERENCE, TUNED)
        for ours, theirs in pairs
        if ours in spent and f"{whose}: {theirs}" in spent
    }
    lines = [(*of, f"{ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})") for of, ratio in ratios.items()]
    return pd.DataFrame(lines, columns=["ours", "against", "times as fast"])


def peak_memory(options: argparse.Namespace, task: Task, config: TrainConfig, device: torch.device) -> str:
    """Most memory in use after a few updates and as many rollouts as the model buffer holds, of one side alone.

    On the CPU that of the process, on a GPU that of its tensors.
    """
    learn: Callable[[], object]
    imagine: Callable[[], object]
    if options.reference:
        theirs = reference.make(options.reference, random_data(task, 20_000), config, str(device))
        learn, imagine = theirs.update, theirs.imagine
    else:
        ours = Launched(ready(task, "micro", config, device))
        learn, imagine = ours.update, ours.imagine
    with kernel(not options.reference):
        for run in [imagine] * (config.retain - 1) + [learn] * 5:
            run()
    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 2**20:,.0f} MiB"
    unit = 1 if platform.system() == "Darwin" else 1024
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20:,.0f} MiB"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task-sizes", choices=SIZES, default="hopper")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
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
    task, device = TASKS[SIZES[options.task_sizes]], torch.device(options.device)
    if options.memory:
        whose = "the reference" if options.reference else "ours"
        print(f"peak memory of {whose}: {peak_memory(options, task, config, device)}")
        return
    parts = our_parts(task, config, options.paired_samples, device)
    parts += reference_parts(options.reference, task, config, device) if options.reference else []
    kernels = f"torch {torch.__version__}, faster kernel {options.kernel == 'fast'}"
    print(
        f"{options.task_sizes} sizes ({task.obs_size}, {task.action_size}), batch {config.batch}, real_ratio "
        f"{config.real_ratio}, {config.samples} {config.gap_estimator} samples (paired: {options.paired_samples}), "
        f"{config.gap_precision} gap, rollout {config.rollout_batch:,} × {config.rollout_length}; {options.rounds} "
        f"rounds, {device}, {options.threads} thread(s), {options.clock} time, {kernels}\n"
    )
    spent = measure(parts, options.rounds, fast=options.kernel == "fast", clock=CLOCKS[options.clock])
    print(table(spent, flops(parts)).to_markdown(disable_numparse=True))
    if options.reference:
        print("\n" + gains(spent).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
