"""Test on every policy whether returns are in the order clean > random > action-diff > worst.

    python -m benchmarks.attack_order CHECKPOINTS --run runs/latest --out runs/order --episodes 50

CHECKPOINTS is as in benchmarks.foreign_checkpoints. For every policy it fits a critic (`microbench critic`) and trains
an adversary (`microbench adversary`), unless their files are in --out already. Then `microbench attack` runs `random`,
`action-diff` and `worst`, which chooses among attacks with that critic and that adversary too. An order holds if the
95 % intervals of two neighbours do not overlap.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pandas as pd

import reports

ORDER = ("none", "random", "action-diff", "worst")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy file below CHECKPOINTS (None: that of --run), its task and the budget it is published with."""

    name: str
    file: str | None
    env_id: str
    eps: float
    unit: str = "policy-norm"


POLICIES = (
    Policy(name="run", file=None, env_id="Hopper-v4", eps=0.2, unit="dataset-std"),
    Policy(name="hopper", file="sa_ppo/Hopper/model-ppo-hopper-best.model", env_id="Hopper-v4", eps=0.075),
    Policy(
        name="halfcheetah", file="atla/PPO/HalfCheetah/model-ppo-halfcheetah.model", env_id="HalfCheetah-v4", eps=0.15
    ),
    Policy(name="walker2d", file="sb3/Walker2d/ppo-Walker2d-v3.zip", env_id="Walker2d-v4", eps=0.05),
    Policy(name="ant", file="atla/PPO/Ant/model-ppo-ant.model", env_id="AntContactForces-v4", eps=0.15),
    Policy(
        name="walker2d-sappo",
        file="atla/SAPPO/Walker2d/model-sappo-convex-walker.model",
        env_id="Walker2d-v4",
        eps=0.05,
    ),
    Policy(
        name="walker2d-lstm",
        file="atla/LSTM-PPO/Walker2d/model-lstm-ppo-walker.model",
        env_id="Walker2d-v4",
        eps=0.05,
    ),
)


def microbench(*arguments: object) -> None:
    """Run one command of the command line in a process of its own."""
    subprocess.run([sys.executable, "-m", "microbench", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def measure(policy: Policy, file: Path, out: Path, episodes: int, times: float) -> pd.DataFrame:
    """Score and interval of every attack, in the order of `ORDER`."""
    common = (file, "--env", policy.env_id, "--quiet")
    budget = ("--eps", policy.eps * times, "--unit", policy.unit)
    folder = out / f"{policy.name}-x{times:g}"
    critic, adversary = (out / f"{policy.name}-{what}.safetensors" for what in ("fqe", "sa-rl"))
    if not critic.exists():
        microbench("critic", *common, "--out", critic)
    if not adversary.exists():
        microbench("adversary", *common, "--eps", policy.eps, "--unit", policy.unit, "--seed", 0, "--out", adversary)
    attacks: list[object] = [part for name in ORDER[1:] for part in ("--attack", name)]
    attacks += ["--attack", f"adversary:{adversary}", "--critic", critic, "--episodes", episodes]
    critics = ["--critic", "own"] if policy.file is None else []
    microbench("attack", *common, *budget, *attacks, *critics, "--out", folder)
    results = reports.read(folder / "results.csv")
    summary = reports.summarize(results).set_index("attack")
    returns = results.loc[results["attack"] == "worst", "return"].to_numpy()
    left = f"{returns.mean():.0f} ± {returns.std(ddof=1) / len(returns) ** 0.5:.0f}"
    table = summary.loc[list(ORDER), ["n", "mean", "low", "high"]]
    return table.assign(chosen=_chosen(folder), left=left)


def _chosen(folder: Path) -> str:
    """What `worst` was, as the report says."""
    table = pd.read_csv(folder / "report" / "table.csv")
    return str(table.loc[table["attack"] == "worst", "chosen"].iloc[0])


def main() -> None:
    """Print a row per policy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--times", type=float, default=1.0, help="budgets so many times as large as the table's")
    parser.add_argument("--only", nargs="*", choices=[policy.name for policy in POLICIES])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(
        "| policy | eps | clean | random | action-diff | worst | chosen | in order |\n|---|---|---|---|---|---|---|---|"
    )
    for policy in POLICIES:
        if options.only and policy.name not in options.only:
            continue
        file = options.run if policy.file is None else options.folder / policy.file
        rows = measure(policy, file, options.out, options.episodes, options.times)
        cells = [f"{row['mean']:.1f} [{row['low']:.1f}, {row['high']:.1f}]" for _, row in rows.iterrows()]
        apart = [weaker["low"] > stronger["high"] for (_, weaker), (_, stronger) in pairwise(rows.iterrows())]
        order = "yes" if all(apart) else f"{sum(apart)} of {len(apart)}"
        where = f"`{policy.file or 'the run'}` | {policy.eps * options.times:g} {policy.unit}"
        print(
            f"| {where} | {' | '.join(cells)} | {rows['left'].iloc[0]} | {rows['chosen'].iloc[0]} | {order} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
