"""Measure time and memory of a report on very many episodes: `python -m benchmarks.report_size [EPISODES]`.

The table is synthetic, with two policies of five training runs and a hundred episodes of each condition per run. They
are clean, under four attacks at several budgets, on a scaled robot, and on a grid of friction and gravity. Times of
reading and of reporting are processor times, which other load disturbs less; that of the whole command
`microbench report` is its wall time.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import reports
from reports.rows.parsing import ALWAYS

EPISODES = 100
RUNS = 5


def conditions(n: int) -> pd.DataFrame:
    """The first n of: clean, four attacks by 25 budgets, three perturbations by 20 factors, a grid of the rest."""
    rows: list[tuple[str, float, str, float]] = [("none", 0.0, "none", 1.0)]
    rows += [(a, round(0.01 * k, 4), "none", 1.0) for a in ("random", "fgsm", "pgd", "min-q") for k in range(1, 26)]
    factors = [round(0.5 + 0.05 * k, 4) for k in range(21) if k != 10]
    rows += [("none", 0.0, name, factor) for name in ("mass", "friction", "gravity") for factor in factors]
    side = int(np.ceil(np.sqrt(max(n - len(rows), 0))))
    grid = [round(0.5 + k / max(side, 1), 4) for k in range(side)]
    rows += [("none", 0.0, f"friction={f:.12g},gravity", g) for f in grid for g in grid]
    return pd.DataFrame(rows[:n], columns=["attack", "eps", "perturbation", "factor"])


def made_up(episodes: int, generator: np.random.Generator) -> pd.DataFrame:
    """A results table of about so many episodes."""
    cells = conditions(max(1, episodes // (2 * RUNS * EPISODES)))
    drop = 80 * cells["eps"] + 30 * (cells["factor"] - 1).abs()
    parts = []
    for algorithm in ("micro", "sac"):
        for seed in range(RUNS):
            level = generator.normal(70, 5) + generator.normal(0, 4, EPISODES)  # (E,) common to all conditions
            score = (level - drop.to_numpy()[:, None] + generator.normal(0, 2, (len(cells), EPISODES))).ravel()
            part = cells.loc[cells.index.repeat(EPISODES)].reset_index(drop=True)
            parts.append(
                part.assign(
                    algorithm=algorithm,
                    train_seed=seed,
                    checkpoint=f"{algorithm}{seed}".encode().hex().ljust(64, "0"),
                    episode=np.tile(np.arange(EPISODES), len(cells)),
                    score=score,
                )
            )
    table = pd.concat(parts, ignore_index=True).assign(
        dataset="hopper-medium-v2",
        task="Hopper-v4",
        unit="dataset-std",
        norm="linf",
        nominal=1.0,
        length=1000,
        flags="",
    )
    table["eval_seed"] = 1000 + table["episode"]
    table["return"] = 32.5 * table["score"] - 20
    return table[list(ALWAYS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("episodes", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--made", type=Path, help="a results.csv made before; nothing is made then")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.made is None:  # in a process of its own, so that making the table is not counted
            _make(Path(folder) / "results.csv", chosen.episodes)
            _time_command(Path(folder))
            sys.stdout.flush()
            sys.exit(_again(Path(folder) / "results.csv"))
        start = time.process_time()
        study = reports.load_study([chosen.made])
        read = time.process_time()
        written = reports.write_report(study, Path(folder) / "report")
        done = time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        lines = len(written["table.md"].read_text("utf-8").splitlines())
        print(f"{len(study.frame):,} episodes, {chosen.made.stat().st_size / 1e6:.0f} MB")
        print(
            f"seconds of processor time: reading {read - start:.1f}, reporting {done - read:.1f}, with imports "
            f"{done:.1f}; peak {peak:.2f} GB"
        )
        print(f"table.md has {lines} lines; {', '.join(sorted(written))}")


def _make(path: Path, episodes: int) -> None:
    made_up(episodes, np.random.default_rng(0)).to_csv(path, index=False, lineterminator="\n")


def _time_command(folder: Path) -> None:
    """The first child of this process: its time and its peak are those of all children."""
    command = [
        sys.executable,
        "-m",
        "microbench",
        "report",
        str(folder / "results.csv"),
        "--out",
        str(folder / "report"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9
    print(f"microbench report: {spent:.1f} s of processor time, peak {peak:.2f} GB")


def _again(path: Path) -> int:
    return subprocess.run([sys.executable, "-m", "benchmarks.report_size", "--made", str(path)], check=False).returncode


if __name__ == "__main__":
    main()
