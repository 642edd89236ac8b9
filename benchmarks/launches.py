"""How updates are launched on a GPU: kernel by kernel, or as one CUDA graph, for S seeds stacked in one program.

    python -m benchmarks.launches --seeds 1 2 4 8 --rounds 9

All ways take turns within every round. The launch share is the part of an update's time in which no kernel runs, by
torch's profiler. The floor is what the FLOPs take at the rate of one large float32 product of the same rounds. Without
a GPU nothing is captured and kernels are not counted.
"""

import argparse
import math
from typing import NamedTuple

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.random_data import SIZES
from benchmarks.seeds import make_runs, stacked
from benchmarks.training import PRODUCT, PRODUCT_ROWS, Part, flops, measure
from microbench.learning.captured import launching
from microbench.learning.config import TrainConfig
from microbench.learning.cuda_graphs import CudaGraphs


class Kernels(NamedTuple):
    """What a GPU did in one update: how many kernels, and for how many milliseconds altogether."""

    kernels: float
    milliseconds: float


def parts(env_id: str, config: TrainConfig, seeds: list[int], device: torch.device) -> list[Part]:
    """One large product, and updates of so many seeds, launched either way; ways of a number share their runs."""
    a, b = torch.randn(PRODUCT_ROWS, 256, device=device), torch.randn(256, 256, device=device)
    measured_parts = [Part(name=PRODUCT, run=lambda: a @ b)]
    for count in seeds:
        whose, step = stacked(make_runs(env_id, config, range(count), device))
        ways = {"kernel by kernel": step}
        if device.type == "cuda":
            ways["one graph"] = launching(whose, CudaGraphs)(step)
        measured_parts += [Part(name=f"{way}, S = {count}", run=run, counted=step) for way, run in ways.items()]
    return measured_parts


def kernels(part: Part, device: torch.device) -> Kernels:
    """Of one run of a part."""
    if device.type != "cuda":
        return Kernels(math.nan, math.nan)
    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        part.run()
        torch.cuda.synchronize(device)
    ran = [event for event in profiler.events() if event.device_type == torch._C._autograd.DeviceType.CUDA]
    return Kernels(len(ran), sum(event.time_range.elapsed_us() for event in ran) / 1000)


def line(part: Part, spent: pd.DataFrame, work: pd.Series, ran: Kernels) -> dict[str, str]:
    """What there is to tell of a way, from the milliseconds of all parts in every round: medians."""
    seeds, middle = int(part.name.rsplit(" ", 1)[1]), float(spent[part.name].median())
    floor = (spent[part.name] * work[PRODUCT] / spent[PRODUCT]).median() / work[part.name]
    return {
        "updates": part.name,
        "ms": f"{middle:,.3f}",
        "of all seeds, per s": f"{1000 * seeds / middle:,.0f}",
        "hours for 1 M": f"{middle / 3.6:,.2f}",
        "kernels": f"{ran.kernels:,.0f}",
        "launch share": f"{1 - ran.milliseconds / middle:.0%}",
        "× the floor": f"{floor:,.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task-sizes", choices=SIZES, default="hopper")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--estimator", choices=("independent", "paired"), default=TrainConfig.gap_estimator)
    parser.add_argument("--samples", type=int, default=TrainConfig.samples)
    options = parser.parse_args()
    device = torch.device(options.device)
    config = TrainConfig(alpha=0.1, gap_estimator=options.estimator, samples=options.samples)
    measured_parts = parts(SIZES[options.task_sizes], config, options.seeds, device)
    spent = measure(measured_parts, options.rounds)
    work = flops(measured_parts)
    lines = [line(part, spent, work, kernels(part, device)) for part in measured_parts if part.name != PRODUCT]
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    print(
        f"{options.task_sizes} sizes, {config.samples} {config.gap_estimator} samples, {options.rounds} rounds, "
        f"{where}, torch {torch.__version__}\n"
    )
    print(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
