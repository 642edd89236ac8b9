"""`microbench train`: dataset → run folder."""

import math
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from microbench.agent import Agent
from microbench.algorithms import ALGORITHMS
from microbench.checkpoints.own import Origin, save_own
from microbench.commands.opening import say
from microbench.commands.progress import Track, Tracker, track
from microbench.commands.train_processes import deal, in_processes
from microbench.config import TrainConfig, load_preset
from microbench.cuda_graphs import CudaGraphs
from microbench.data.dataset import Dataset
from microbench.data.sources import load_dataset
from microbench.dynamics_fit import FitEpoch
from microbench.errors import UserError, unknown_name
from microbench.kernels import fast_float32_matmul
from microbench.recipe import recipe_of
from microbench.returns import clean_returns
from microbench.runs import DYNAMICS, POLICY, RunFolder, describe
from microbench.tasks import Task, find_task, normalized_score
from microbench.together import train_together
from microbench.train import Event, Training, Updates
from microbench.versions import versions


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The command's options."""

    dataset: str
    algorithm: str
    seeds: tuple[int, ...]  # several train in one program, each into a folder of its own
    preset: str
    steps: int | None
    device: str
    graph: bool  # on a GPU, every update is launched as one CUDA graph
    threads: int | None  # of torch; None leaves its default, the number of cores
    out: Path
    env: str | None
    rows: str | None
    resume: bool
    force: bool
    quiet: bool
    settings: dict[str, Any]
    name_seeds: bool = False  # say whose a score is, also of a single seed


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One seed: its training, its folder, and where it stood when it was interrupted."""

    seed: int
    training: Training
    folder: RunFolder
    state: dict[str, Any] | None


def train(options: TrainOptions, tracked: Track = track) -> list[RunFolder]:
    """Train, store after every epoch, and return the folder of every seed; `latest` is the first."""
    if options.algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", options.algorithm, ALGORITHMS)
    device = _device(options.device)
    if options.threads is not None:
        if options.threads < 1:
            raise UserError(f"--threads is {options.threads}, expected at least 1.")
        torch.set_num_threads(options.threads)
    dataset = load_dataset(options.dataset, env_id=options.env, rows=options.rows)
    for remark in dataset.remarks:
        say(remark, quiet=options.quiet)
    task = find_task(dataset.env_id)
    _check_sizes(dataset, task)
    shares = deal(options.seeds, torch.get_num_threads() if device.type == "cpu" else 1)
    if len(shares) > 1:
        _train_shares(options, shares, _config(options, dataset.name), tracked)
    else:
        try:
            _train_here(options, dataset, task, device, tracked)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"{device} has too little memory ({str(error).splitlines()[0]}); lower the rollouts with --set "
                f"rollout_batch=ROWS, or train fewer --seeds at once."
            ) from error
    folders = [RunFolder.named(options.out, dataset.name, options.algorithm, seed) for seed in options.seeds]
    folders[0].mark_latest()
    return folders


def _train_shares(options: TrainOptions, shares: list[tuple[int, ...]], config: TrainConfig, tracked: Track) -> None:
    """Every share of the seeds in a process of its own, with its part of the threads."""
    threads = torch.get_num_threads() // len(shares)
    parts = [replace(options, seeds=share, threads=threads, name_seeds=True) for share in shares]
    updates = len(options.seeds) * config.epochs * config.updates_per_epoch
    with tracked("updates", updates, quiet=options.quiet) as tracker:
        in_processes([partial(train, part) for part in parts], tracker, [len(share) for share in shares])


def _train_here(options: TrainOptions, dataset: Dataset, task: Task, device: torch.device, tracked: Track) -> None:
    """All the seeds in this process, together."""
    runs = [_open(options, seed, dataset, task, device) for seed in options.seeds]
    began = time.monotonic()
    with fast_float32_matmul():
        for run in runs:  # in here: the buffer is imagined again by the same kernel, or its last bits differ
            if run.state is not None:
                _restore(run.training, run.state, run.folder)
        _train(runs, dataset, task, options, tracked)
    about = {"versions": versions(), "command": ["microbench", *sys.argv[1:]], "device": str(device)}
    for run in runs:  # the command without the script's own path, which is the machine's
        run.folder.write_json("train.json", about | {"seconds": time.monotonic() - began})


def _open(options: TrainOptions, seed: int, dataset: Dataset, task: Task, device: torch.device) -> _Run:
    config = _config(options, dataset.name)
    folder = RunFolder.named(options.out, dataset.name, options.algorithm, seed)
    threads = torch.get_num_threads()
    description = describe(dataset, options.algorithm, seed, config, device=str(device), threads=threads)
    if len(options.seeds) > 1:
        description["together"] = list(options.seeds)  # it decides the last bits
    training = Training(dataset, task, ALGORITHMS[options.algorithm], config, seed=seed, device=device)
    state = folder.open(description, resume=options.resume, force=options.force)
    return _Run(seed=seed, training=training, folder=folder, state=state)


def _restore(training: Training, state: dict[str, Any], folder: RunFolder) -> None:
    try:
        training.load_state_dict(state)
    except torch.OutOfMemoryError:  # a RuntimeError, too, but no fault of the file
        raise
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(f"{folder.resume} does not fit this run ({error!r}); start it over with --force.") from error


def _train(runs: list[_Run], dataset: Dataset, task: Task, options: TrainOptions, tracked: Track) -> None:
    """Drive the runs from epoch to epoch; what is on the disk is always a whole epoch."""
    by_training = {id(run.training): run for run in runs}
    show = _Show()
    named = options.name_seeds or len(runs) > 1
    listeners = [partial(show, f"seed {run.seed}, " if named else "") for run in runs]
    trainings = [run.training for run in runs]
    config, device = trainings[0].config, trainings[0].device
    graphs = CudaGraphs if options.graph and device.type == "cuda" else None
    storable = train_together(trainings, partial(_evaluate, task), listeners, graphs)
    for run in runs:
        if not run.training.fitted:
            title = f"dynamics of seed {run.seed}" if named else "dynamics"
            with tracked(title, config.max_dynamics_epochs, quiet=options.quiet) as show.tracker:
                while not run.training.fitted:
                    next(storable)
                    _store(run, dataset, options)
    with tracked("updates", config.epochs * config.updates_per_epoch, quiet=options.quiet) as show.tracker:
        for training in storable:
            _store(by_training[id(training)], dataset, options)


class _Show:
    """Turns the training's events into progress."""

    tracker: Tracker

    def __call__(self, whose: str, event: Event) -> None:
        if isinstance(event, FitEpoch):
            self.tracker.advance_to(event.epoch, f"holdout MSE {float(event.holdout.mean()):.4f}")
        elif isinstance(event, Updates):
            self.tracker.advance_to(event.done)
        elif "score" in event.row:
            self.tracker.line(f"{whose}epoch {event.epoch}: normalized score {event.row['score']:.1f}")


def _store(run: _Run, dataset: Dataset, options: TrainOptions) -> None:
    training, folder = run.training, run.folder
    if training.fitted and training.epoch == 0:
        folder.write_tensors(DYNAMICS, training.model.state_dict())
    if training.epoch:
        row = training.log[-1]
        origin = Origin(
            env_id=dataset.env_id,
            algorithm=options.algorithm,
            train_seed=run.seed,
            updates=int(row["updates"]),
            score=row["score"] if math.isfinite(row.get("score", math.nan)) else None,  # NaN without reference scores
            recipe=recipe_of(dataset, options.algorithm, training.config),
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
