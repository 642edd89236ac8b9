"""Measure bias, spread and cost of estimators of MICRO's gap f(s, a) on a trained run, relative to 10,000 draws.

    python -m benchmarks.gap_estimator RUN --states 200 --repeats 100

Policy, critics and dynamics ensemble are those of the run folder; states and actions are imagined by the policy from
logged states, as in its updates. The stored critics stand for the target critics, which follow them. All estimators see
the same states. With independent noise per member the lowest member is too low by chance, so that f is too high,
however many repetitions are averaged. Paired noise leaves only the differences between models.
"""

import argparse
import copy
import itertools
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from microbench.data.dataset import as_transitions
from microbench.data.sources import load_dataset
from microbench.learning.agent import Agent, make_agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.algorithms.ensemble import PessimisticValue, member_values
from microbench.learning.algorithms.micro import value_gap
from microbench.learning.config import TrainConfig
from microbench.learning.dynamics import DynamicsEnsemble, Elites
from microbench.learning.rollout import roll_out
from microbench.learning.runs import DYNAMICS, POLICY
from microbench.numerics.kernels import fast_float32_matmul
from microbench.tasks import find_task

ESTIMATORS = ("independent", "paired")
TRUTH_SAMPLES, PER_PASS = 10_000, 50


def load_run(folder: Path) -> tuple[Agent, Elites, Tensor, Tensor]:
    """The run's agent with its stored critics as targets, its ensemble, and states and actions that it imagines."""
    description = json.loads((folder / "config.json").read_text("utf-8"))
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in description["config"].items()
    }
    config, task = TrainConfig(**settings), find_task(description["env_id"])
    sizes, cpu = (task.obs_size, task.action_size), torch.device("cpu")
    agent = make_agent(*sizes, config, ALGORITHMS[description["algorithm"]], seed=0, device=cpu)
    stored = load_file(folder / POLICY)
    for part, networks in (("actor.", [agent.actor]), ("critics.", [agent.critics, agent.target_critics])):
        weights = {name.removeprefix(part): tensor for name, tensor in stored.items() if name.startswith(part)}
        for network in networks:
            network.load_state_dict(weights)
    model = DynamicsEnsemble(*sizes, config.dynamics_hidden, members=config.members, generator=torch.Generator())
    weights = load_file(folder / DYNAMICS)
    model.elites = weights["elites"].clone()
    model.load_state_dict(weights)
    generator = torch.Generator().manual_seed(0)
    starts = as_transitions(load_dataset(description["dataset"]), cpu).sample(2000, generator).obs
    length, ends = config.rollout_length, task.imagined_terminal
    rows = roll_out(model, agent.actor, starts, length=length, terminal=ends, generator=generator)
    return agent, Elites(model), rows.obs, rows.action


def gap(
    elites: Elites, value: PessimisticValue, rows: tuple[Tensor, Tensor], samples: int, seed: int, kind: str
) -> Tensor:
    """One estimate of f at every row, (B,)."""
    generator = torch.Generator().manual_seed(seed)
    return value_gap(member_values(elites, value, *rows, samples=samples, paired=kind == "paired", generator=generator))


def truth(elites: Elites, value: PessimisticValue, rows: tuple[Tensor, Tensor], samples: int) -> Tensor:
    """F from so many paired draws, which have the same limit as independent ones and reach it sooner; (B,)."""
    passes = max(1, samples // PER_PASS)
    draws = min(samples, PER_PASS)
    total = sum(
        member_values(
            elites, value, *rows, samples=draws, paired=True, generator=torch.Generator().manual_seed(10**6 + number)
        ).double()
        for number in range(passes)
    )
    assert isinstance(total, Tensor)
    return value_gap(total / passes)


def describe(estimates: Tensor, exact: Tensor) -> dict[str, float]:
    """Estimates (R, B) against the truth (B,): all relative to the mean true gap, but the correlation."""
    estimates, exact = estimates.double(), exact.double()
    scale = exact.mean()
    error = estimates - exact
    correlations = [np.corrcoef(row.numpy(), exact.numpy())[0, 1] for row in estimates]
    return {
        "bias": float(error.mean() / scale),
        "spread": float(estimates.std(0).square().mean().sqrt() / scale),
        "error": float(error.square().mean().sqrt() / scale),
        "correlation": float(np.mean(correlations)),
    }


def cost(run: "partial[Tensor]", repeats: int = 20) -> tuple[float, float]:
    """Milliseconds (median, processor time) and GFLOP of one call."""
    spent = []
    with fast_float32_matmul():
        for _ in range(repeats):
            start = time.process_time()
            run(seed=0)
            spent.append(1000 * (time.process_time() - start))
    with FlopCounterMode(display=False) as counter:
        run(seed=0)
    return float(np.median(spent)), counter.get_total_flops() / 1e9


def rounded(agent: Agent, elites: Elites, rows: tuple[Tensor, Tensor], samples: int, kind: str) -> str:
    """How far `gap_precision` bfloat16 is from float32 with the same draws."""
    half = copy.copy(agent)
    half.config = replace(agent.config, gap_precision="bfloat16")
    with fast_float32_matmul():
        exact, estimates = (gap(elites, of.pessimistic_value, rows, samples, 0, kind) for of in (agent, half))
    numbers = describe(torch.stack([estimates, estimates]), exact)  # one estimate has no spread
    return f"bias {numbers['bias']:+.2%}, error {numbers['error']:.1%}, correlation {numbers['correlation']:.4f}"


def compare(
    agent: Agent,
    elites: Elites,
    rows: tuple[Tensor, Tensor],
    exact: Tensor,
    counts: dict[str, list[int]],
    repeats: int,
) -> pd.DataFrame:
    """One line per estimator and number of samples; its cost is that of 244 rows, a batch of the reference's."""
    charged = (rows[0][:1].expand(244, -1).contiguous(), rows[1][:1].expand(244, -1).contiguous())
    lines = []
    for kind, samples in itertools.chain.from_iterable(((kind, n) for n in of) for kind, of in counts.items()):
        run = partial(gap, elites, agent.pessimistic_value, samples=samples, kind=kind)
        with fast_float32_matmul():
            estimates = torch.stack([run(rows=rows, seed=seed) for seed in range(repeats)])
        ms, gflop = cost(partial(run, rows=charged))
        lines.append({"estimator": kind, "N": samples, **describe(estimates, exact), "ms": ms, "GFLOP": gflop})
    return pd.DataFrame(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a trained run")
    parser.add_argument("--states", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=200, help="independent estimates per state")
    parser.add_argument("--samples", type=int, default=TRUTH_SAMPLES, help="draws of the truth")
    options = parser.parse_args()
    torch.set_num_threads(1)
    agent, elites, obs, action = load_run(options.run)
    drawn = torch.randperm(len(obs), generator=torch.Generator().manual_seed(1))[: options.states]
    rows = obs[drawn], action[drawn]
    with fast_float32_matmul():
        exact = truth(elites, agent.pessimistic_value, rows, options.samples)
        values = agent.pessimistic_value(rows[0], torch.zeros(len(rows[0]), rows[1].shape[1]))
    print(
        f"{options.states} imagined states, {options.repeats} estimates each; true gap from {options.samples:,} "
        f"draws: mean {exact.mean():.3f}, median {exact.median():.3f}, largest {exact.max():.3f}; "
        f"mean value {values.mean():.1f}\n"
    )
    counts = {"independent": [1, 2, 5, 10, 20, 100], "paired": [1, 2, 5, 10]}
    estimates = compare(agent, elites, rows, exact, counts, options.repeats)
    for kind, samples in (("independent", 10), ("paired", 2)):
        every = rounded(agent, elites, (obs, action), samples, kind)
        print(f"bfloat16 against float32, the same {samples} {kind} samples, {len(obs):,} states: {every}")
    print()
    shown = estimates.assign(**{name: estimates[name].map("{:+.1%}".format) for name in ("bias", "spread", "error")})
    print(shown.round({"correlation": 3, "ms": 2, "GFLOP": 2}).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
