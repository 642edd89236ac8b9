"""Measure the coverage of intervals in simulated studies with known means: `python -m benchmarks.coverage [STUDIES]`.

A study is one policy (G training runs of m episodes). Episodes are normal, skewed like the time until a fall, or a
mixture of whole episodes and falls. Runs differ normally, by the std of episodes or by half of it. It compares the
interval of every table (`mean_interval`), Student's t over pooled episodes and the hierarchical bootstrap.

A second table has runs with unequal numbers of episodes. A third has studies in several commands with neighbouring
seeds, which share most of their episodes.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from reports.statistics.means import Floats, Integers, mean_intervals
from reports.study.scores import bootstrap_interval
from reports.study.summary import summarize

SHAPES = ("normal", "skewed", "falls 30 %", "falls 10 %")
STUDIES = (
    (1, 10, 0.0),
    (1, 20, 0.0),
    (1, 50, 0.0),
    (3, 10, 0.5),
    (5, 10, 0.0),
    (5, 10, 0.5),
    (5, 10, 1.0),
    (10, 10, 0.5),
)
NEIGHBOURS = ((2, 10), (5, 10), (2, 50), (5, 50))

UNEQUAL = ((50, 10, 10), (100, 10, 10, 10, 10))
"""Episodes of the runs of a study in which these differ."""

APART = (0.25, 0.5, 1.0, 2.0)
"""Standard deviations of an episode by which runs differ."""


def episodes(shape: str, size: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """Scores with mean 0 and standard deviation 1."""
    if shape == "normal":
        return generator.normal(size=size)
    if shape == "skewed":
        return 1 - generator.exponential(size=size)  # skewness -2
    rate = float(shape.split()[1]) / 100
    fall = generator.random(size) < rate
    scores = np.where(fall, generator.normal(20, 8, size), generator.normal(95, 3, size))
    spread = np.sqrt(rate * 64 + (1 - rate) * 9 + rate * (1 - rate) * 75**2)
    return np.asarray((scores - (95 - 75 * rate)) / spread)


def studies(shape: str, runs: int, each: int, apart: float, n: int, generator: np.random.Generator) -> Floats:
    """(n, runs, each) with true mean 0."""
    return apart * generator.normal(size=(n, runs, 1)) + episodes(shape, (n, runs, each), generator)


def ours(x: Floats) -> tuple[Floats, Floats]:
    """The interval of every table."""
    n, runs, each = x.shape
    cell, run = np.repeat(np.arange(n), runs * each), np.tile(np.repeat(np.arange(runs), each), n)
    return mean_intervals(x.ravel(), cell, run, n)[1:]


def unequal(
    shape: str, sizes: Sequence[int], apart: float, n: int, generator: np.random.Generator
) -> tuple[Floats, Integers]:
    """Studies of runs with so many episodes each, (n, sum of sizes) with true mean 0, and the run of each episode."""
    run = np.repeat(np.arange(len(sizes)), sizes)
    level = apart * generator.normal(size=(n, len(sizes)))
    return level[:, run] + episodes(shape, (n, len(run)), generator), run


def of_runs(x: Floats, run: Integers) -> tuple[Floats, Floats]:
    """The interval of every table, of (n, N) episodes of these runs."""
    return mean_intervals(x.ravel(), np.repeat(np.arange(len(x)), len(run)), np.tile(run, len(x)), len(x))[1:]


def pooled(x: Floats) -> tuple[Floats, Floats]:
    """Student's t over all episodes, as if they were of one run."""
    flat = x.reshape(len(x), -1)
    half = stats.t.ppf(0.975, flat.shape[1] - 1) * flat.std(axis=1, ddof=1) / np.sqrt(flat.shape[1])
    return flat.mean(axis=1) - half, flat.mean(axis=1) + half


def bootstrap(x: Floats) -> tuple[Floats, Floats]:
    """The expanded percentile bootstrap over runs and their episodes."""
    groups = np.repeat(np.arange(x.shape[1]), x.shape[2]).tolist()
    intervals = [bootstrap_interval(one.ravel(), groups=groups) for one in x]
    return np.array([one.low for one in intervals]), np.array([one.high for one in intervals])


def print_unequal(n: int) -> None:
    """The table of runs with unequal numbers of episodes, in which every run counts once."""
    print("\n| episodes of the runs | runs apart | " + " | ".join(SHAPES) + " |")
    print("|---|---|" + "---|" * len(SHAPES))
    for sizes in UNEQUAL:
        for apart in APART:
            shares = []
            for shape in SHAPES:
                low, high = of_runs(*unequal(shape, sizes, apart, n, np.random.default_rng(0)))
                shares.append(f"{100 * np.mean((low <= 0) & (high >= 0)):.1f}")
            print(f"| {', '.join(map(str, sizes))} | {apart:g} | " + " | ".join(shares) + " |", flush=True)


def neighbours(shape: str, commands: int, each: int, n: int, generator: np.random.Generator) -> pd.DataFrame:
    """Rows of n studies, each measured in so many commands `--seed 0`, `--seed 1`, … of so many episodes.

    What a seed scores is drawn once, so commands that share a seed share the row but for its number.
    """
    scores = episodes(shape, (n, commands + each - 1), generator)
    study, command, number = (place.ravel() for place in np.indices((n, commands, each)))
    seed = command + number
    names = np.array([f"{place:064x}" for place in range(n)], object)
    return pd.DataFrame(
        {
            **{
                "algorithm": names[study],
                "dataset": "",
                "train_seed": 0,
                "checkpoint": names[study],
                "task": "made up",
            },
            **{
                "attack": "none",
                "eps": 0.0,
                "unit": "",
                "norm": "",
                "perturbation": "none",
                "factor": 1.0,
                "nominal": 1.0,
            },
            **{"episode": number, "eval_seed": seed, "return": scores[study, seed], "length": 1},
            **{"score": scores[study, seed], "flags": ""},
        }
    )


def neighbouring_commands(n: int) -> None:
    """Print how often the intervals of a study hold the truth where its commands share episodes."""
    print("\n| commands × episodes | distinct | scores | every episode once | every row |")
    print("|---|---|---|---|---|")
    for commands, each in NEIGHBOURS:
        for shape in SHAPES:
            rows = neighbours(shape, commands, each, n, np.random.default_rng(0))
            once = summarize(rows)
            x = rows["score"].to_numpy().reshape(n, 1, commands * each)
            ends = [(once["low"].to_numpy(), once["high"].to_numpy()), ours(x)]
            shares = [f"{100 * np.mean((low <= 0) & (high >= 0)):.1f}" for low, high in ends]
            print(f"| {commands} × {each} | {once['n'].iloc[0]} | {shape} | {shares[0]} | {shares[1]} |", flush=True)


METHODS: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {
    "tables": ours,
    "pooled t": pooled,
    "bootstrap": bootstrap,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=int, nargs="?", default=2000)
    n = parser.parse_args().studies
    print(f"{n} studies each; share of intervals that hold the truth, % (length in standard deviations of an episode)")
    print("\n| runs × episodes | runs apart | scores | " + " | ".join(METHODS) + " |")
    print("|---|---|---|" + "---|" * len(METHODS))
    for runs, each, apart in STUDIES:
        for shape in SHAPES:
            x = studies(shape, runs, each, apart, n, np.random.default_rng(0))
            ends = [method(x) for method in METHODS.values()]
            cells = [f"{100 * np.mean((low <= 0) & (high >= 0)):.1f} ({np.mean(high - low):.2f})" for low, high in ends]
            print(f"| {runs} × {each} | {apart:g} | {shape} | " + " | ".join(cells) + " |", flush=True)
    print_unequal(10 * n)
    neighbouring_commands(n)


if __name__ == "__main__":
    main()
