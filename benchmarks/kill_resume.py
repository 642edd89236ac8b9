"""Kill commands with `kill -9` at random moments, and compare the final files with those of an uninterrupted command.

    python -m benchmarks.kill_resume --kills 20 --seed 0

There are three campaigns, each with at least `--kills` kills:

    training     the main process of `train`, which then goes on with --resume
    evaluation   the main process of a grid of `perturb --workers 2`, which then goes on with --resume
    worker       one of that command's worker processes; the command itself has to finish with the complete table

A moment is drawn uniformly from the time of the uninterrupted command. After every kill, each file under its final name
must be readable, and no episode may occur twice. When a command ends by itself, its files must equal those of the
uninterrupted one byte for byte. A moment without a process to kill counts as missed. Any difference ends the campaign
with an error.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import reports
from microbench.checkpoints import load_own
from microbench.versions import versions

SETTINGS = (
    *("hidden=[16,16]", "dynamics_hidden=[16,16,16,16]", "members=3", "elites=2", "max_dynamics_epochs=3"),
    *("updates_per_epoch=100", "rollout_every=100", "rollout_batch=200", "batch=32", "evaluate_every=1"),
)
TRAIN = ("train", "--steps", "500", "--threads", "1", "--device", "cpu", *(f"--set={text}" for text in SETTINGS))
PERTURB = ("perturb", "--mass", "0.5:1.5:5", "--friction", "0.5:1.5:5", "--grid", "--workers", "2")
TRAINED = ("config.json", "policy.safetensors", "dynamics.safetensors", "log.csv")
DEADLINE = 600.0  # seconds after which a command hangs


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """A command, the folder below --out and the files it makes, and whether a worker of it is killed."""

    name: str
    command: tuple[str, ...]
    folder: Path
    files: tuple[str, ...]
    of_worker: bool = False


def start(command: tuple[str, ...], out: Path, error: Path) -> "subprocess.Popen[bytes]":
    """The command line in a process of its own; what it says on stderr goes to a file."""
    with error.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "microbench", *command, "--out", str(out), "--quiet"],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


def finish(process: "subprocess.Popen[bytes]", error: Path) -> None:
    code = process.wait(DEADLINE)
    if code:
        raise SystemExit(f"a command ended with {code}: {error.read_text()}")


def workers_of(pid: int) -> list[int]:
    """Worker processes that `pid` has started, without their tracker of resources."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "popen_loky" in line]


def kill(process: "subprocess.Popen[bytes]", campaign: Campaign, rng: np.random.Generator) -> bool:
    """Kill the process or one of its workers; False if there was nobody left."""
    if not campaign.of_worker:
        alive = process.poll() is None
        process.kill()
        process.wait(DEADLINE)
        return alive
    workers = workers_of(process.pid)
    with contextlib.suppress(ProcessLookupError, ValueError):
        os.kill(int(rng.choice(workers)), signal.SIGKILL)
        return process.poll() is None
    return False


def check_whole(folder: Path) -> None:
    """Whatever stands under a final name can be read; `reports.read` refuses an episode that is there twice."""
    for path in folder.rglob("results.csv"):
        reports.read(path)
    for path in folder.rglob("policy.safetensors"):
        load_own(path)


def contents(folder: Path, campaign: Campaign) -> dict[str, bytes]:
    return {name: (folder / campaign.folder / name).read_bytes() for name in campaign.files}


def run(campaign: Campaign, kills: int, rng: np.random.Generator, place: Path) -> dict[str, object]:
    """The uninterrupted command, then killed ones until there were enough kills."""
    place.mkdir()
    error, began = place / "stderr", time.monotonic()
    finish(start(campaign.command, place / "straight", error), error)
    seconds = time.monotonic() - began
    expected = contents(place / "straight", campaign)
    counts = {"kills": 0, "missed": 0, "commands finished": 0}
    while counts["kills"] < kills:
        out = place / f"killed-{counts['commands finished']}"
        over = False
        while not over:
            again = ("--resume",) if out.exists() else ()
            process = start((*campaign.command, *again), out, error)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0, seconds))
            killed = kill(process, campaign, rng)
            counts["kills" if killed else "missed"] += 1
            check_whole(out)
            over = campaign.of_worker or not killed or counts["kills"] >= kills
        if campaign.of_worker:
            finish(process, error)
        else:
            finish(start((*campaign.command, "--resume"), out, error), error)
        different = [name for name, content in contents(out, campaign).items() if content != expected[name]]
        if different:
            raise SystemExit(f"{campaign.name}: after kills, {', '.join(different)} differ from the uninterrupted ones")
        counts["commands finished"] += 1
    return {"campaign": campaign.name, "one run, s": round(seconds, 1), **counts, "differences": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill commands at random moments and compare their ends.")
    parser.add_argument("--kills", type=int, default=20, help="at least so many per campaign")
    parser.add_argument("--episodes", type=int, default=40, help="per cell of the grid, which has 26 cells")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        training = Campaign(name="training", command=TRAIN, folder=Path("latest"), files=TRAINED)
        outcomes.append(run(training, arguments.kills, rng, place / "training"))
        policy = place / "training" / "straight" / "latest"
        grid = (*PERTURB, str(policy), "--episodes", str(arguments.episodes))
        for title, of_worker in (("evaluation", False), ("worker", True)):
            campaign = Campaign(name=title, command=grid, folder=Path(), files=("results.csv",), of_worker=of_worker)
            outcomes.append(run(campaign, arguments.kills, rng, place / title))
    print(pd.DataFrame(outcomes).to_markdown(index=False))
    print(f"\nseed {arguments.seed}, " + ", ".join(f"{part} {version}" for part, version in versions().items()))


if __name__ == "__main__":
    main()
