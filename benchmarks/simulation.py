"""Measure the speed of the batched simulator, relative to plain Gymnasium and to MuJoCo without any task.

    python -m benchmarks.simulation --task Hopper-v4 --n 64 --steps 50 --rounds 21

All contestants take the same random actions from the same seeds on one core, and take turns within every round, so that
other load slows all alike. Times are processor times of their one thread. The table shows medians of the rounds and of
their ratios. Episodes that would end go on, which MuJoCo allows, so that every contestant does the same work.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from mujoco import MjData, rollout
from mujoco.batch import Batch

from microbench.simulators.contract import BatchedSimulator, nominal_model
from microbench.simulators.models import without_islands
from microbench.tasks import TASKS, Task
from microbench.tasks.environment import make_env

Actions = npt.NDArray[np.float32]
Contestant = Callable[[], None]


def gymnasium_loop(task: Task, action: Actions) -> Contestant:
    """One environment, the rows one after the other: as many env steps as the others."""
    env = make_env(task.env_id)

    def run() -> None:
        for row in range(action.shape[1]):
            env.reset(seed=row)
            for t in range(action.shape[0]):
                env.step(action[t, row])

    return run


def batched(task: Task, action: Actions) -> Contestant:
    """Our simulator, all rows in lock step."""
    n = action.shape[1]
    simulator, ids = BatchedSimulator(task, [nominal_model(task)] * n), np.arange(n)

    def run() -> None:
        simulator.reset(range(n))
        for row in action:
            simulator.step(row, ids)

    return run


def bare_batch(task: Task, action: Actions) -> Contestant:
    """Physics alone, stepped from Python: no observation, no reward."""
    assert task.physics is not None
    skip, start = task.physics.frame_skip, starting_states(task, action.shape[1])
    batch = Batch(without_islands(nominal_model(task)), action.shape[1], 1)
    qpos, qvel, ctrl = (batch.bind(name) for name in ("qpos", "qvel", "ctrl"))

    def run() -> None:
        batch.reset()
        qpos[:], qvel[:] = start
        for row in action:
            ctrl[:] = row
            batch.step(None, skip)

    return run


def long_rollout(task: Task, action: Actions) -> Contestant:
    """Physics alone without Python in between: `mujoco.rollout` over whole episodes, the limit.

    It does not compute the contact forces that Ant-v5 and Humanoid show.
    """
    assert task.physics is not None
    model, n = without_islands(nominal_model(task)), action.shape[1]
    control = np.repeat(action.transpose(1, 0, 2), task.physics.frame_skip, axis=1).astype(np.float64)
    qpos, qvel = starting_states(task, n)
    start = np.concatenate([np.zeros((n, 1)), qpos, qvel], axis=1)
    data = MjData(model)
    out = np.zeros((n, control.shape[1], start.shape[1]))

    def run() -> None:
        rollout.rollout(model, data, start, control, state=out, skip_checks=False)

    return run


def starting_states(task: Task, n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The reset states of seeds 0 … n − 1, (n, nq) and (n, nv)."""
    simulator = BatchedSimulator(task, [nominal_model(task)] * n)
    simulator.reset(range(n))
    return simulator._qpos.copy(), simulator._qvel.copy()


CONTESTANTS = {
    "Gymnasium, one environment": gymnasium_loop,
    "BatchedSimulator": batched,
    "mujoco.batch, physics only": bare_batch,
    "mujoco.rollout, physics limit": long_rollout,
}


def measure(task: Task, n: int, steps: int, rounds: int) -> pd.DataFrame:
    """Env steps per second, one row per round and one column per contestant."""
    action = np.random.default_rng(0).uniform(-1, 1, (steps, n, task.action_size)).astype(np.float32)
    runs = {name: make(task, action) for name, make in CONTESTANTS.items()}
    records = []
    for _ in range(rounds + 1):
        rates = {}
        for name, run in runs.items():
            start = time.process_time()
            run()
            rates[name] = n * steps / (time.process_time() - start)
        records.append(rates)
    return pd.DataFrame(records[1:])  # the first round warms up


def table(rates: pd.DataFrame) -> pd.DataFrame:
    """Medians over the rounds; ratios are formed within a round."""
    first, limit = rates.columns[0], rates.columns[-1]
    return pd.DataFrame(
        {
            "env steps/s": rates.median().map("{:,.0f}".format),
            "× Gymnasium": rates.div(rates[first], axis=0).median().map("{:.2f}".format),
            "× physics limit": rates.div(rates[limit], axis=0).median().map("{:.2f}".format),
        }
    )


def main() -> None:
    exact = sorted(env_id for env_id, task in TASKS.items() if task.physics is not None)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=exact, default="Hopper-v4")
    parser.add_argument("--n", type=int, default=64, help="rows")
    parser.add_argument("--steps", type=int, default=50, help="env steps per row")
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    rates = measure(TASKS[arguments.task], arguments.n, arguments.steps, arguments.rounds)
    print(f"{arguments.task}, {arguments.n} rows × {arguments.steps} steps, {arguments.rounds} rounds, one core\n")
    print(table(rates).to_markdown(disable_numparse=True))


if __name__ == "__main__":
    main()
