"""A run small enough for a test: a random Hopper dataset, tiny networks, and the command line in this process."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microbench.checkpoints import load_own, save_own
from microbench.checkpoints.own import PolicyOrigin
from microbench.checkpoints.record import Checkpoint
from microbench.cli import main
from microbench.data.d4rl import write_d4rl
from microbench.data.dataset import Dataset
from microbench.learning.agent import AgentConfig, make_agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.tasks import find_task
from microbench.tasks.environment import make_env

SETTINGS = {
    "hidden": [16, 16],
    "dynamics_hidden": [16, 16, 16, 16],
    "members": 3,
    "elites": 2,
    "max_dynamics_epochs": 2,
    "updates_per_epoch": 10,
    "rollout_every": 10,
    "rollout_batch": 50,
    "rollout_length": 2,
    "batch": 16,
    "evaluate_every": 2,
    "evaluation_episodes": 2,
}


def write_dataset(path: Path, env_id: str = "Hopper-v4", episodes: int = 20) -> Path:
    """Episodes of uniform actions, in D4RL's layout."""
    env, rng = make_env(env_id), np.random.default_rng(0)
    dataset = []
    for seed in range(episodes):
        obs, rows, over = [env.reset(seed=seed)[0]], [], False
        while not over:
            action = rng.uniform(-1, 1, env.action_space.shape or ()).astype(np.float32)
            state, reward, terminated, truncated, _ = env.step(action)
            obs.append(state)
            rows.append((action, reward))
            over = terminated or truncated
        dataset.append(
            {
                "observations": np.array(obs, np.float32),
                "actions": np.array([action for action, _ in rows], np.float32),
                "rewards": np.array([reward for _, reward in rows], np.float32),
                "terminal": np.array([terminated], np.float32),
                "timeout": np.array([not terminated], np.float32),
            }
        )
    env.close()
    write_d4rl(path, dataset, {})
    return path


def train_arguments(dataset: Path, out: Path, steps: int = 30, **settings: Any) -> list[str]:
    """`train …` with the settings above; the run is `out/<stem of dataset>-micro-quick-s0`."""
    options = [f"--set={name}={json.dumps(value)}" for name, value in (SETTINGS | settings).items()]
    common = ["train", "--dataset", str(dataset), "--out", str(out), "--threads", "1", "--device", "cpu"]
    return [*common, "--steps", str(steps), *options]


def policy_bytes(env_id: str = "Hopper-v4", seed: int = 0, **config: Any) -> bytes:
    """The file of an untrained policy with hidden layers of 16 units; no episode of Hopper is long."""
    task, rng = find_task(env_id), np.random.default_rng(seed)
    obs = rng.normal(size=(50, task.obs_size)).astype(np.float32)
    dataset = Dataset(
        name="toy",
        env_id=env_id,
        sha256="0" * 64,
        obs=obs,
        action=np.zeros((50, task.action_size), np.float32),
        reward=np.ones(50, np.float32),
        next_obs=obs,
        terminal=np.zeros(50, bool),
        timeout=np.zeros(50, bool),
        episode_returns=np.zeros(0),
    )
    sizes = (task.obs_size, task.action_size)
    settings = AgentConfig(**({"hidden": (16, 16)} | config))
    agent = make_agent(*sizes, settings, ALGORITHMS["micro"], seed=seed, device=torch.device("cpu"))
    return save_own(
        agent, dataset, PolicyOrigin(env_id=env_id, algorithm="micro", train_seed=seed, updates=1, score=None)
    )


def write_policy(path: Path, env_id: str = "Hopper-v4", seed: int = 0) -> Checkpoint:
    """That policy in a file, loaded."""
    path.write_bytes(policy_bytes(env_id, seed))
    return load_own(path)


@dataclass(frozen=True)
class Said:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def is_one_sentence(self) -> bool:
        """Exit code 2, nothing on stdout, one sentence on stderr and no traceback."""
        lines = self.err.splitlines()
        is_one_line = len(lines) == 1 and lines[0].startswith("microbench: ") and lines[0].endswith(".")
        return self.code == 2 and is_one_line and not self.out and "Traceback" not in self.err


class Shell:
    """The command line in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Said:
        self._monkeypatch.setattr(sys, "argv", ["/somewhere/bin/microbench", *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return Said(int(ended.value.code or 0), printed.out, printed.err)


def start(*arguments: object, cwd: Path) -> "subprocess.Popen[str]":
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "microbench", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    # A shell in the background lets its children ignore ^C, and they theirs; what is started here hears it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)


def finish(process: "subprocess.Popen[str]") -> Said:
    """Wait for the end."""
    out, err = process.communicate(timeout=300)
    return Said(process.returncode, out, err)


def kill(process: "subprocess.Popen[str]") -> None:
    """`kill -9`, at once."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
