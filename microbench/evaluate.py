"""Evaluation: chunks of a plan become rows of the results table, in one process or in many."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pandas as pd
import torch
from mujoco import MjModel

import attacks
import perturbations
from attacks import Target, Threat
from microbench.checkpoints import Checkpoint
from microbench.episodes import run_episodes
from microbench.errors import UserError
from microbench.plan import Cell, Chunk
from microbench.simulate import make_simulator, nominal_model
from microbench.tasks import Task, find_task, normalized_score
from reports.results import SCHEMA


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What all cells of an evaluation share: the task that is simulated, and how a budget is measured."""

    env_id: str
    unit: str = "dataset-std"
    norm: str = "linf"


def evaluate_chunk(checkpoint: Checkpoint, conditions: Conditions, chunk: Chunk) -> pd.DataFrame:
    """Run the chunk's episodes in lock step; one row of results each, in the chunk's order.

    Raises:
        UserError: the policy is of another task.
        ValueError: an unknown attack, perturbation or unit, or one that this policy cannot serve.

    """
    task = find_task(conditions.env_id)
    check_task(checkpoint, task)
    cells = [episode.cell for episode in chunk]
    models = {(cell.perturbation, cell.factor): _model(task, cell.perturbation, cell.factor) for cell in cells}
    simulator = make_simulator(task, [models[cell.perturbation, cell.factor][0] for cell in cells])
    attack, threat = _attack(checkpoint.target, conditions, cells)
    with closing(simulator), one_thread():
        outcome = run_episodes(checkpoint.target, simulator, [episode.seed for episode in chunk], attack, threat)
    rows = []
    for number, (episode, cell) in enumerate(zip(chunk, cells, strict=True)):
        flags = (*outcome.flags[number], *models[cell.perturbation, cell.factor][1])
        rows.append(
            {
                "algorithm": checkpoint.algorithm,
                "dataset": checkpoint.dataset,
                "train_seed": checkpoint.train_seed,
                "checkpoint": checkpoint.sha256,
                "task": task.env_id,
                "attack": cell.attack,
                "eps": cell.eps,
                "unit": conditions.unit,
                "norm": conditions.norm,
                "perturbation": cell.perturbation,
                "factor": cell.factor,
                "nominal": 1.0,
                "episode": episode.number,
                "eval_seed": episode.seed,
                "return": outcome.returns[number],
                "length": outcome.lengths[number],
                "score": float(normalized_score(task, outcome.returns[number])),
                "flags": ";".join(flags),
            }
        )
    return pd.DataFrame(rows, columns=list(SCHEMA))


def check_task(checkpoint: Checkpoint, task: Task) -> None:
    """Raise UserError if the policy was made for another robot; another version of its task is allowed."""
    found = len(checkpoint.target.scale("raw"))
    robots = [env_id.rpartition("-v")[0] for env_id in (checkpoint.env_id, task.env_id)]
    if found != task.obs_size or robots[0] != robots[1]:
        raise UserError(
            f"{checkpoint.path} is a policy of {checkpoint.env_id} with {found} observations, {task.env_id} has "
            f"{task.obs_size}; give --env a version of the task it was trained for."
        )


def _attack(
    target: Target, conditions: Conditions, cells: Sequence[Cell]
) -> tuple[attacks.Attack | None, Threat | None]:
    """The chunk's attack and its budget per row (B, 1); a chunk holds one attack only."""
    (name,) = {cell.attack for cell in cells}
    if name == "none":
        return None, None
    eps = torch.tensor([[cell.eps] for cell in cells], dtype=torch.float32)
    scale = target.scale(conditions.unit)
    threat = Threat(eps=eps, scale=scale, unit=conditions.unit, norm=conditions.norm)  # type: ignore[arg-type]  # Threat checks the name
    return attacks.resolve(name), threat


@functools.lru_cache(maxsize=1024)
def _model(task: Task, perturbation: str, factor: float) -> tuple[MjModel, tuple[str, ...]]:
    """The perturbed model, and the flags of a cell that changed nothing."""
    nominal = nominal_model(task)
    if perturbation == "none":
        return nominal, ()
    change = perturbations.build(perturbation, factor)
    model = change.physics(nominal)
    unchanged = not change.nominal and perturbations.is_no_op(nominal, model, task.unreachable)
    return model, ("no-op-cell",) if unchanged else ()


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread inside the block: with more, a row's result depends on the batch it is in."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
