"""What the estimator of the gap does to return and robustness: runs that differ in it alone, seed by seed.

    python -m benchmarks.estimators runs/estimators --seeds 0 1 2 3 4

Every run is `microbench train --preset quick --threads 1` with another estimator; then `microbench attack` (worst of
its suite) and `microbench perturb` (mass) measure it. All of it stays in the folder, and what is there is not made
again, so seeds can be spread over processes. Runs of one seed share their dynamics ensemble and their start, so
differences are formed within a seed. Intervals are 95 % t intervals over seeds.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import reports
from benchmarks.attack_order import microbench

ESTIMATORS = {"independent-10": ("independent", 10), "paired-2": ("paired", 2), "paired-1": ("paired", 1)}
PAPER = "independent-10"
EPS, FACTOR = 0.1, 1.5


def run_folder(folder: Path, name: str, seed: int, steps: int | None) -> Path:
    """The trained run, made now or brought to its end if it is not there."""
    out = folder / name
    finished = f"*-s{seed}/train.json"  # written last
    if not list(out.glob(finished)):
        estimator, samples = ESTIMATORS[name]
        settings = ("--set", f"gap_estimator={estimator}", "--set", f"samples={samples}")
        length = ("--steps", steps) if steps else ()
        microbench("train", "--threads", 1, "--seed", seed, *length, *settings, "--out", out, "--resume", "--quiet")
    return next(out.glob(finished)).parent


def scores(run: Path, episodes: int) -> dict[str, float]:
    """Mean score of a run: clean, under the worst attack of the suite at EPS, and with FACTOR times the mass."""
    common = ("--episodes", episodes, "--workers", 1, "--resume", "--quiet")
    attacked, heavy = run / "attacked", run / "heavy"
    if not (attacked / "report").exists():
        microbench("attack", run, "--eps", EPS, "--attack", "worst", *common, "--out", attacked)
    if not (heavy / "report").exists():
        microbench("perturb", run, "--mass", FACTOR, *common, "--out", heavy)
    attacks, worlds = (reports.summarize(reports.read(of / "results.csv")) for of in (attacked, heavy))
    chosen = {
        "clean": attacks["attack"] == "none",
        f"eps {EPS:g}": attacks["attack"] == "worst",
    }
    means = {name: attacks.loc[rows, "mean"].item() for name, rows in chosen.items()}
    return means | {f"mass {FACTOR:g}": worlds.loc[worlds["factor"] == FACTOR, "mean"].item()}


def told(values: NDArray[np.float64]) -> str:
    """Mean and interval over seeds; one seed has none."""
    interval = reports.mean_interval(values, groups=range(len(values)))
    return (
        f"{interval.estimate:.1f} [{interval.low:.1f}, {interval.high:.1f}]"
        if len(values) > 1
        else f"{interval.estimate:.1f}"
    )


def table(measured: pd.DataFrame) -> str:
    """Per estimator: every score, and how far it lies above the paper's estimator with the same seed."""
    kinds = [str(column) for column in measured if column not in ("estimator", "seed")]
    by_seed = {name: rows.set_index("seed")[kinds] for name, rows in measured.groupby("estimator")}
    lines = {}
    for name in ESTIMATORS:
        if name in by_seed:
            columns = {kind: by_seed[name][kind] for kind in kinds}
            if name != PAPER and PAPER in by_seed:
                apart = (by_seed[name] - by_seed[PAPER]).dropna()
                columns |= {f"{kind}: difference": apart[kind] for kind in kinds}
            lines[name] = {kind: told(column.to_numpy()) for kind, column in columns.items()}
    return pd.DataFrame(lines).T.fillna("–").to_markdown(disable_numparse=True)


def main() -> None:
    """Make what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--steps", type=int, help="updates; the preset's if left out")
    parser.add_argument("--episodes", type=int, default=20)
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        for name in options.only:
            run = run_folder(options.folder, name, seed, options.steps)
            rows.append({"estimator": name, "seed": seed} | scores(run, options.episodes))
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), file=sys.stderr, flush=True)
    print(table(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
