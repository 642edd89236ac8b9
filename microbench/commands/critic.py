"""`microbench critic` fits a critic to a policy, with a report of its errors on held-out episodes."""

import json
import math
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from microbench import progress
from microbench.checkpoints import Checkpoint
from microbench.commands import policy
from microbench.critics import METHODS, Fit, FittedCritic, Method, fit
from microbench.critics.judging import of_actions, on_policy
from microbench.critics.robust_sarsa import Robustness
from microbench.critics.rollouts import roll_out
from microbench.critics.steps import Steps, of_dataset
from microbench.critics.storing import Origin, save_critic
from microbench.data.sources import load_dataset
from microbench.errors import UserError, unknown_name
from microbench.evaluation.chunk import check_task
from microbench.numerics.kernels import fast_float32_matmul
from microbench.numerics.rows import one_thread
from microbench.progress import track
from microbench.seeds import CRITIC_STEP
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import Task, find_task

if TYPE_CHECKING:
    from microbench.commands.learning_options import CriticOptions

EPISODES = 100  # to which a critic is fitted
HELD_OUT = 20  # episodes that are judged by, after half of that distance


def fit_critic(options: "CriticOptions") -> tuple[Path, Origin]:
    """Run the policy, fit, judge on other episodes, and write the file.

    Raises:
        UserError: an unknown method, one that cannot be fitted to a dataset, a policy or dataset of another task, or a
            file that exists already.
        OSError: the file cannot be written.
    """
    method = _method(options)
    config = Fit(gamma=options.gamma, steps=options.steps, members=options.members, seed=options.seed)
    checkpoint = policy.open_checkpoint(options.checkpoint, options.runs, options.policy.overrides(options.env))
    task = find_task(options.env or checkpoint.env_id)
    check_task(checkpoint, task)
    folder = policy.results_folder(checkpoint, None, options.runs)
    path = options.out or folder / f"{options.method}.safetensors"
    if path.exists():
        raise UserError(f"{path} exists already; choose another --out, or remove it first.")
    policy.say_choices(checkpoint, quiet=options.quiet)
    with one_thread(), fast_float32_matmul():
        steps, source = _steps(checkpoint, task, method, options)
        critic = _fitted(steps, task, method, config, quiet=options.quiet)
        report = _report(critic, checkpoint, task, config)
    origin = Origin(
        env_id=task.env_id,
        method=options.method,
        victim=checkpoint.sha256,
        source=source,
        fit=config,
        method_settings=asdict(method.penalty) if is_dataclass(method.penalty) else {},
        report=report,
    )
    save_critic(path, critic, origin)
    return path, origin


def printed(path: Path, origin: Origin, *, as_json: bool) -> str:
    """The report of the fit as text, or as JSON."""
    report, warning = origin.report, origin.poor
    if as_json:
        return json.dumps({"critic": str(path)} | asdict(origin) | {"warning": warning}, indent=2)
    lines = [
        f"critic: {path} ({origin.method}, fitted to {origin.source})",
        f"held-out returns: {report['return_mean']:.4g} ± {report['return_std']:.4g}, discounted; "
        f"R² {report['r2']:.2f}, correlation {report['correlation']:.2f}, error {report['rmse']:.3g}",
        f"mean error by tenths of an episode: {', '.join(f'{error:.3g}' for error in report['bias'])}",
        f"other actions in {report['states']} states: rank correlation {report['ranking']:.2f} ± "
        f"{report['ranking_error']:.2f}; its worst action does "
        f"{report['damage']:.0%} of the possible damage",
    ]
    return "\n".join([*lines, *([f"warning: a poor critic: {warning}; its attacks prove nothing."] if warning else [])])


def _method(options: "CriticOptions") -> Method:
    if options.method not in METHODS:
        raise unknown_name("method", options.method, METHODS)
    method = METHODS[options.method]
    settings = {"action_radius": options.radius, "weight": options.weight}
    changes = {name: value for name, value in settings.items() if value is not None}
    if changes and not isinstance(method.penalty, Robustness):
        raise UserError(f"--radius and --weight are settings of robust-sarsa; {options.method} has none.")
    if isinstance(method.penalty, Robustness):
        method = replace(method, penalty=replace(method.penalty, **changes))
        if options.dataset is not None:
            raise UserError("robust-sarsa follows what the policy itself did next; leave --dataset out, or use fqe.")
    for name, value in (("episodes", options.episodes), ("noise", options.noise)):
        if options.dataset is not None and value:
            raise UserError(f"--dataset takes the place of episodes of the policy, so --{name} says nothing there.")
    noise = tuple(options.noise or ())
    if not all(0 <= size < math.inf for size in noise):
        raise UserError(f"--noise is {', '.join(map(str, noise))}, expected numbers of 0 or more.")
    return replace(method, noise=noise) if noise else method


def _steps(checkpoint: Checkpoint, task: Task, method: Method, options: "CriticOptions") -> tuple[Steps, str]:
    """What is fitted to, and what to call it."""
    if options.dataset is None:
        first = CRITIC_STEP * (options.seed + 1)
        episodes = options.episodes or EPISODES
        steps = roll_out(checkpoint.target, task, range(first, first + episodes), method.noise)
        sizes = ", ".join(f"{size:g}" for size in method.noise)
        return steps, f"{episodes} episodes of {len(steps)} steps with noise {sizes}"
    if checkpoint.target.memory is not None:
        raise UserError(f"{checkpoint.path} is recurrent, and a dataset has no memories; leave --dataset out.")
    dataset = load_dataset(options.dataset, env_id=task.env_id)
    for remark in dataset.remarks:
        progress.say(remark, quiet=options.quiet)
    if (dataset.obs.shape[1], dataset.action.shape[1]) != (task.obs_size, task.action_size):
        raise UserError(f"{dataset.name} is not of {task.env_id}; give a dataset of the policy's task.")
    return of_dataset(dataset, checkpoint.target.policy), f"{len(dataset)} steps of {dataset.name}"


def _fitted(steps: Steps, task: Task, method: Method, config: Fit, *, quiet: bool) -> FittedCritic:
    simulator = make_simulator(task, [nominal_model(task)])
    low, high = (torch.from_numpy(np.array(end)) for end in (simulator.action_low, simulator.action_high))
    simulator.close()
    with track("updates", config.steps, quiet=quiet) as tracker:
        return fit(
            steps,
            method,
            config,
            low=low,
            high=high,
            listen=lambda step, loss: tracker.advance_to(step, f"loss {loss:.3g}"),
        )


def _report(critic: FittedCritic, checkpoint: Checkpoint, task: Task, config: Fit) -> dict[str, Any]:
    """The report of the critic on held-out episodes of the policy."""
    first = CRITIC_STEP * (config.seed + 1) + CRITIC_STEP // 2
    seeds = range(first, first + HELD_OUT)
    steps = roll_out(checkpoint.target, task, seeds)
    generator = torch.Generator().manual_seed(config.seed)
    actions = of_actions(critic, checkpoint.target, task, steps, seeds, config.gamma, generator)
    return on_policy(critic, steps, config.gamma) | actions
