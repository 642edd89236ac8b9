"""ATLA's own learned adversaries against their victims, and our attacks at the same budget.

    python -m benchmarks.learned_adversaries FOLDER --episodes 50

FOLDER is as in benchmarks.foreign_checkpoints. The budgets are the published ones, in the victim's normalised
observations; `known` is an independent run of the same files, 50 episodes, mean ± standard error.
"""

import argparse
from pathlib import Path

from microbench.checkpoints import load
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import Cell, plan_episodes

FILES = (
    ("atla/PPO/HalfCheetah/attack-ppo-halfcheetah.model", 0.15, "7204 ± 15", "−537 ± 34"),
    ("atla/SAPPO/Walker2d/attack-sappo-convex-walker.model", 0.05, "4400 ± 71", "2714 ± 136"),
    ("atla/PPO/Ant/attack-ppo-ant.model", 0.15, "–", "–"),
    ("atla/LSTM-PPO/Walker2d/attack-lstm-ppo-walker.model", 0.05, "–", "–"),
)
ATTACKS = ("random", "fgsm", "pgd", "action-diff")  # these victims have no critic Q(s, a)


def main() -> None:
    """Print a row per victim and attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--only", nargs="*", default=["none", "adversary", *ATTACKS])
    arguments = parser.parse_args()
    print("| victim | eps | attack | here | known |\n|---|---|---|---|---|")
    for name, eps, clean, attacked in FILES:
        path = arguments.folder / name
        checkpoint = load(path)
        conditions = Conditions(env_id=checkpoint.env_id, unit="policy-norm")
        known = {"none": clean, "adversary": attacked}
        for attack in arguments.only:
            cell = Cell(attack=f"adversary:{path}" if attack == "adversary" else attack, eps=eps * (attack != "none"))
            rows = evaluate_chunk(checkpoint, conditions, tuple(plan_episodes([cell], arguments.episodes, 0)))["return"]
            text = f"{rows.mean():.0f} ± {float(rows.std()) / len(rows) ** 0.5:.0f}"
            print(f"| `{name}` | {cell.eps:g} | {attack} | {text} | {known.get(attack, '–')} |", flush=True)


if __name__ == "__main__":
    main()
