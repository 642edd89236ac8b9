"""`microbench train`: dataset → run folder."""

import math
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from microbench.agent import Agent
from microbench.algorithms import ALGORITHMS
from microbench.checkpoints.own import Origin, save_own
from microbench.commands.progress import Tracker, track
from microbench.config import TrainConfig, load_preset
from microbench.data.dataset import Dataset
from microbench.data.sources import load_dataset
from microbench.dynamics_fit import FitEpoch
from microbench.errors import UserError, unknown_name
from microbench.kernels import fast_float32_matmul
from microbench.returns import clean_returns
from microbench.runs import DYNAMICS, POLICY, RunFolder, describe
from microbench.tasks import Task, find_task, normalized_score
from microbench.train import Event, Training, Updates
from microbench.versions import versions


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The command's options."""

    dataset: str
    algorithm: str
    seed: int
    preset: str
    steps: int | None
    device: str
    threads: int | None  # of torch; None leaves its default, the number of cores
    out: Path
    env: str | None
    rows: str | None
    resume: bool
    force: bool
    quiet: bool
    settings: dict[str, Any]


def train(options: TrainOptions) -> RunFolder:
    """Train, store after every epoch, and print where the policy is."""
    if options.algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", options.algorithm, ALGORITHMS)
    device = _device(options.device)
    if options.threads is not None:
        if options.threads < 1:
            raise UserError(f"--threads is {options.threads}, expected at least 1.")
        torch.set_num_threads(options.threads)
    dataset = load_dataset(options.dataset, env_id=options.env, rows=options.rows)
    task = find_task(dataset.env_id)
    _check_sizes(dataset, task)
    config = _config(options, dataset.name)
    folder = RunFolder.named(options.out, dataset.name, options.algorithm, options.seed)
    threads = torch.get_num_threads()
    description = describe(dataset, options.algorithm, options.seed, config, device=str(device), threads=threads)
    training = Training(dataset, task, ALGORITHMS[options.algorithm], config, seed=options.seed, device=device)
    state = folder.open(description, resume=options.resume, force=options.force)
    began = time.monotonic()
    with fast_float32_matmul():
        if state is not None:  # in here: the buffer is imagined again by the same kernel, or its last bits differ
            _restore(training, state, folder)
        _run(training, dataset, task, folder, options)
    seconds = time.monotonic() - began
    command = ["microbench", *sys.argv[1:]]  # not the script's own path, which is the machine's
    folder.write_json(
        "train.json", {"versions": versions(), "command": command, "device": str(device), "seconds": seconds}
    )
    folder.mark_latest()
    return folder


def _restore(training: Training, state: dict[str, Any], folder: RunFolder) -> None:
    try:
        training.load_state_dict(state)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(f"{folder.resume} does not fit this run ({error!r}); start it over with --force.") from error


def _run(training: Training, dataset: Dataset, task: Task, folder: RunFolder, options: TrainOptions) -> None:
    """Drive the training from epoch to epoch; what is on the disk is always a whole epoch."""
    config, show = training.config, _Show()
    storable = training.run(partial(_evaluate, task), show)
    for title, total in (
        ("dynamics", config.max_dynamics_epochs),
        ("updates", config.epochs * config.updates_per_epoch),
    ):
        with track(title, total, quiet=options.quiet) as show.tracker:
            for _ in storable:
                _store(training, dataset, folder, options)
                if title == "dynamics" and training.fitted:
                    break


class _Show:
    """Turns the training's events into progress."""

    tracker: Tracker

    def __call__(self, event: Event) -> None:
        if isinstance(event, FitEpoch):
            self.tracker.advance_to(event.epoch, f"holdout MSE {float(event.holdout.mean()):.4f}")
        elif isinstance(event, Updates):
            self.tracker.advance_to(event.done)
        elif "score" in event.row:
            self.tracker.line(f"epoch {event.epoch}: normalized score {event.row['score']:.1f}")


def _store(training: Training, dataset: Dataset, folder: RunFolder, options: TrainOptions) -> None:
    if training.fitted and training.epoch == 0:
        folder.write_tensors(DYNAMICS, training.model.state_dict())
    if training.epoch:
        row = training.log[-1]
        origin = Origin(
            env_id=dataset.env_id,
            algorithm=options.algorithm,
            train_seed=options.seed,
            updates=int(row["updates"]),
            score=row["score"] if math.isfinite(row.get("score", math.nan)) else None,  # NaN without reference scores
        )
        folder.write(POLICY, save_own(training.agent, dataset, origin))
        folder.write_log(training.log)
    folder.store(training.state_dict())


def _evaluate(task: Task, agent: Agent, episodes: int) -> tuple[float, float]:
    returns = clean_returns(agent.actor, task, episodes)
    return float(returns.mean()), float(normalized_score(task, returns).mean())


def _config(options: TrainOptions, dataset: str) -> TrainConfig:
    settings = dict(options.settings)
    if options.steps is not None:
        if options.steps < 1:
            raise UserError(f"--steps is {options.steps}, expected at least 1 update.")
        per_epoch = min(options.steps, load_preset(options.preset, dataset, **settings).updates_per_epoch)
        settings |= {"epochs": -(-options.steps // per_epoch), "updates_per_epoch": per_epoch}
    return load_preset(options.preset, dataset, **settings)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"--device {name} cannot be used ({str(error).splitlines()[0]}); choose cpu, cuda or auto."
        ) from error
    return device


def _check_sizes(dataset: Dataset, task: Task) -> None:
    sizes = (dataset.obs.shape[1], dataset.action.shape[1])
    if sizes != (task.obs_size, task.action_size):
        raise UserError(
            f"{dataset.name} has {sizes[0]} observations and {sizes[1]} actions, {task.env_id} has {task.obs_size} and "
            f"{task.action_size}; give the dataset's task with --env."
        )
