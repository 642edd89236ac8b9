"""`microbench train` trains on a dataset and writes run folders."""

import math
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from microbench.checkpoints.own import PolicyOrigin, save_own
from microbench.commands.train_options import TrainOptions, config_of, stored_options
from microbench.commands.train_processes import deal, in_processes
from microbench.data.dataset import Dataset
from microbench.data.sources import load_dataset
from microbench.episodes.returns import clean_returns
from microbench.errors import UserError
from microbench.learning.agent import Agent
from microbench.learning.algorithms import ALGORITHMS
from microbench.learning.config import TrainConfig, preset_threads
from microbench.learning.cuda_graphs import CudaGraphs
from microbench.learning.dynamics_fit import FitEpoch
from microbench.learning.recipe import recipe_of
from microbench.learning.runs import DYNAMICS, POLICY, TRAINED, RunFolder, describe
from microbench.learning.together import train_together
from microbench.learning.train import Event, Training, Updates
from microbench.numerics.kernels import fast_float32_matmul
from microbench.progress import Track, Tracker, say, track
from microbench.tasks import Task, find_task, normalized_score
from microbench.versions import versions


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """One seed before its training: its folder, and the content of its config.json."""

    seed: int
    folder: RunFolder
    description: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One seed: its training, its folder, and the stored state of an interrupted run."""

    seed: int
    training: Training
    folder: RunFolder
    state: dict[str, Any] | None


def train(options: TrainOptions, tracked: Track = track) -> list[RunFolder]:
    """Train, store after every epoch, and return the folder of every seed; `latest` links to the first."""
    device = _device(options.device)
    if options.graph and device.type != "cuda":
        raise UserError(f"--graph launches updates on a GPU, and the device is {device}; leave it out.")
    dataset = load_dataset(options.dataset, env_id=options.env, rows=options.rows)
    task = find_task(dataset.env_id)
    _check_sizes(dataset, task)
    config = config_of(options, dataset.name)
    processes, threads = options.split or split_of(options, device)
    torch.set_num_threads(threads)
    shares = deal(options.seeds, processes)
    origin = options.origin or stored_options(options, (processes, threads))
    plan = [_planned(options, share, dataset, config, device, origin) for share in shares]
    for run in (run for runs in plan for run in runs):  # all of them, before anything is written
        run.folder.check(run.description, resume=options.resume, force=options.force)
    for remark in dataset.remarks if options.origin is None else ():
        say(remark, quiet=options.quiet)
    try:
        if len(shares) > 1:
            _train_shares(options, shares, config, threads, origin, tracked)
        else:
            _train_here(options, plan[0], dataset, task, config, device, tracked)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_large(device, error) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise _too_large(device, error) from error
    folders = [_folder(options, seed, dataset) for seed in options.seeds]
    folders[0].mark_latest()
    return folders


def _too_large(device: torch.device, error: Exception) -> UserError:
    reason = (str(error).splitlines() or ["no memory"])[0]
    return UserError(
        f"{device} has too little memory ({reason}); lower the rollouts with --set rollout_batch=ROWS, or train fewer "
        f"--seeds at once."
    )


def split_of(options: TrainOptions, device: torch.device) -> tuple[int, int]:
    """The number of processes that share the seeds, and the threads of each."""
    cores, each = torch.get_num_threads(), preset_threads(options.preset)
    if device.type != "cpu":
        return 1, options.threads or each or cores
    processes = min(options.threads or cores, len(options.seeds))
    return processes, each if options.threads is None and each else (options.threads or cores) // processes


def _folder(options: TrainOptions, seed: int, dataset: Dataset) -> RunFolder:
    if options.folder is not None:
        return RunFolder(path=options.out / options.folder)
    return RunFolder.named(options.out, dataset.name, options.algorithm, options.preset, seed)


def _planned(
    options: TrainOptions,
    seeds: tuple[int, ...],
    dataset: Dataset,
    config: TrainConfig,
    device: torch.device,
    origin: dict[str, Any],
) -> list[_Planned]:
    """The runs of the seeds that one process trains together."""
    planned = []
    for seed in seeds:
        threads = torch.get_num_threads()
        description = describe(dataset, options.algorithm, seed, config, device=str(device), threads=threads)
        if len(seeds) > 1:
            description["together"] = list(seeds)  # results depend on it in their last bits
        description["options"] = origin
        planned.append(_Planned(seed=seed, folder=_folder(options, seed, dataset), description=description))
    return planned


def _train_shares(
    options: TrainOptions,
    shares: list[tuple[int, ...]],
    config: TrainConfig,
    threads: int,
    origin: dict[str, Any],
    tracked: Track,
) -> None:
    """Train every share of the seeds in its own process, with its part of the threads."""
    parts = [replace(options, seeds=share, split=(1, threads), origin=origin, name_seeds=True) for share in shares]
    updates = len(options.seeds) * config.epochs * config.updates_per_epoch
    with tracked("updates", updates, quiet=options.quiet) as tracker:
        in_processes([partial(train, part) for part in parts], tracker, [len(share) for share in shares])


def _train_here(
    options: TrainOptions,
    planned: list[_Planned],
    dataset: Dataset,
    task: Task,
    config: TrainConfig,
    device: torch.device,
    tracked: Track,
) -> None:
    """Train all the seeds in this process, together."""
    algorithm = ALGORITHMS[options.algorithm]
    runs = []
    for plan in planned:
        training = Training(dataset, task, algorithm, config, seed=plan.seed, device=device)
        state = plan.folder.open(plan.description, resume=options.resume, force=options.force)
        runs.append(_Run(seed=plan.seed, training=training, folder=plan.folder, state=state))
    began = time.monotonic()
    with fast_float32_matmul():
        for run in runs:  # in here: the buffer is imagined again by the same kernel, or its last bits differ
            if run.state is not None:
                _restore(run.training, run.state, run.folder)
        over = [run for run in runs if run.training.over and run.folder.finished]
        _train(runs, dataset, task, options, tracked)
    about = {"versions": versions(), "command": ["microbench", *sys.argv[1:]], "device": str(device)}
    for run in runs:  # the command without the script's own path, which is the machine's
        if run not in over:
            run.folder.write_json(TRAINED, about | {"seconds": time.monotonic() - began})


def _restore(training: Training, state: dict[str, Any], folder: RunFolder) -> None:
    try:
        training.load_state_dict(state)
    except torch.OutOfMemoryError:  # a RuntimeError, too, but no fault of the file
        raise
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(f"{folder.resume} does not fit this run ({error!r}); start it over with --force.") from error


def _train(runs: list[_Run], dataset: Dataset, task: Task, options: TrainOptions, tracked: Track) -> None:
    """Train the runs epoch by epoch; the files always hold a complete epoch."""
    by_training = {id(run.training): run for run in runs}
    show = _Show()
    named = options.name_seeds or len(runs) > 1
    listeners = [partial(show, f"seed {run.seed}, " if named else "") for run in runs]
    trainings = [run.training for run in runs]
    config, device = trainings[0].config, trainings[0].device
    graphs = CudaGraphs if options.graph is not False and device.type == "cuda" else None
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
    """A listener that shows the training's events as progress."""

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
        origin = PolicyOrigin(
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


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # a device without numbers, such as meta, is none
        torch.Generator(device)
    except (RuntimeError, AssertionError, ImportError, NotImplementedError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or ["no such device"])[0]
        raise UserError(f"--device {name} cannot be used ({reason}); choose cpu, cuda or auto.") from error
    return device


def _check_sizes(dataset: Dataset, task: Task) -> None:
    sizes = (dataset.obs.shape[1], dataset.action.shape[1])
    if sizes != (task.obs_size, task.action_size):
        raise UserError(
            f"{dataset.name} has {sizes[0]} observations and {sizes[1]} actions, {task.env_id} has {task.obs_size} and "
            f"{task.action_size}; give the dataset's task with --env."
        )
