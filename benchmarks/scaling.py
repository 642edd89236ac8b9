"""How the cost of an update grows: with samples N, elite members, batch, and seeds S that train together.

    python -m benchmarks.scaling --rounds 5 --threads 1 --clock processor

One setting is changed at a time; all variants take turns within every round of one process, and the ratios to the
unchanged update are formed within a round. FLOPs are counted by torch.
"""

import argparse
import dataclasses
from typing import Any

import pandas as pd
import torch

from benchmarks.random_data import SIZES
from benchmarks.seeds import learner, make_runs
from benchmarks.training import CLOCKS, Part, flops, measure
from microbench.learning.config import TrainConfig

BASE = "unchanged"
AXES: dict[str, list[dict[str, Any]]] = {
    "N": [{"samples": n} for n in (1, 2, 5, 20)],
    "N, paired": [{"gap_estimator": "paired", "samples": n} for n in (1, 2, 5, 10)],
    "elites": [{"elites": count, "members": count + 2} for count in (1, 3, 10)],
    "batch": [{"batch": rows} for rows in (64, 128, 512)],
    "real_ratio": [{"real_ratio": share} for share in (0.5, 1.0)],
    "S": [{"seeds": count} for count in (2, 4, 8)],
}


def variants(base: TrainConfig, env_id: str) -> list[Part]:
    """The unchanged update, then every change; of several seeds, one update of all of them."""
    parts = [part(BASE, base, env_id, 1)]
    for axis, changes in AXES.items():
        for change in changes:
            settings = dict(change)
            seeds = settings.pop("seeds", 1)
            last = {"seeds": seeds} if axis == "S" else settings
            value = last.get("samples") or next(iter(last.values()))
            parts.append(part(f"{axis} = {value}", dataclasses.replace(base, **settings), env_id, seeds))
    return parts


def part(name: str, config: TrainConfig, env_id: str, seeds: int) -> Part:
    """One update, timed a few times in a row."""
    learn = learner(make_runs(env_id, config, range(seeds)), together=True)
    return Part(name=name, run=lambda: learn(1), repeats=3)


def table(spent: pd.DataFrame, work: pd.Series) -> pd.DataFrame:
    """Medians, and times the unchanged update in time and in FLOP."""
    ratio = spent.div(spent[BASE], axis=0).median()
    columns = {
        "ms": spent.median().map("{:,.1f}".format),
        "× unchanged": ratio.map("{:.2f}".format),
        "GFLOP": work.map("{:,.2f}".format),
        "× unchanged in FLOP": (work / work[BASE]).map("{:.2f}".format),
    }
    return pd.DataFrame(columns, index=spent.columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task-sizes", choices=SIZES, default="hopper")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: for one thread on a busy machine")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = variants(TrainConfig(alpha=0.1, rollout_batch=2000), SIZES[options.task_sizes])
    spent = measure(parts, options.rounds, clock=CLOCKS[options.clock])
    print(f"{options.task_sizes} sizes, {options.rounds} rounds, {options.threads} thread(s), {options.clock} time\n")
    print(table(spent, flops(parts)).to_markdown(disable_numparse=True))


if __name__ == "__main__":
    main()
