"""Episodes for worker processes, and attacks that end their process."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from microbench.evaluation.attacked import Conditions
from microbench.evaluation.plan import CLEAN, Cell, Episode, plan_episodes
from microbench.evaluation.workers.rounds import Done
from reports.rows.schema import KEY

HOPPER = Conditions(env_id="Hopper-v4")


def work(*names: str) -> list[Episode]:
    cells = [CLEAN, *(Cell(attack=name, eps=0.2) for name in names), Cell(perturbation="mass", factor=0.5)]
    return plan_episodes(cells, 10, seed=0)


def together(finished: Iterator[Done]) -> pd.DataFrame:
    return pd.concat([done.rows for done in finished]).sort_values(list(KEY), ignore_index=True)


def dies(*_: Any) -> Any:
    """An attack that takes its process with it."""
    os.kill(os.getpid(), signal.SIGKILL)


def dies_once(target: Any, obs: Any, *_: Any) -> Any:
    """The same, if no such process has been here before."""
    been_here = Path(os.environ["BEEN_HERE"])
    if not been_here.exists():
        been_here.touch()
        dies()
    return obs
