"""What the self-checks of an evaluation cost: processor time of probes over that of the attacks they look at.

python -m benchmarks.self_checks [CHECKPOINT] [--eps 0.1] [--episodes 10]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from microbench.checkpoints import Checkpoint, Overrides, load
from microbench.episodes import loop
from microbench.episodes.probing import Probing
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import Cell, plan_episodes
from microbench.learning.runs import find_policy

ATTACKS = ("fgsm", "pgd", "action-diff")


class Clock:
    """A function around another that adds up the processor time spent in it."""

    def __init__(self, timed: Callable[..., Any]) -> None:
        self._timed, self.seconds = timed, 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Call it and add the time."""
        began = time.process_time()
        try:
            return self._timed(*arguments)
        finally:
            self.seconds += time.process_time() - began


def cost(checkpoint: Checkpoint, attack: str, eps: float, count: int) -> tuple[float, float, float]:
    """Seconds in probes, seconds in the attack, and the mean length of the episodes."""
    look, shown = Clock(Probing.look), Clock(loop._shown)
    chunk = tuple(plan_episodes([Cell(attack=attack, eps=eps)], count, seed=0))
    looked = lambda probing, *arguments: look(probing, *arguments)  # noqa: E731  # a function binds, an object does not
    with patch.object(Probing, "look", looked), patch.object(loop, "_shown", shown):
        rows = evaluate_chunk(checkpoint, Conditions(env_id=checkpoint.env_id), chunk)
    return look.seconds, shown.seconds, float(rows["length"].mean())


def main() -> None:
    """Print one line per attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=Path)
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--episodes", type=int, default=10)
    options = parser.parse_args()
    checkpoint = load(find_policy(options.checkpoint, Path("runs")), Overrides())
    for attack in ATTACKS:
        probes, searched, steps = cost(checkpoint, attack, options.eps, options.episodes)
        print(f"{attack}: {100 * probes / searched:.1f} % of {searched:.2f} s, over episodes of {steps:.0f} steps")


if __name__ == "__main__":
    main()
