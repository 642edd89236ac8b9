"""`evaluate_chunk` runs the episodes of a chunk in lock step and returns their rows of the results table."""

from collections.abc import Callable
from contextlib import closing

import pandas as pd
import torch

from microbench.checkpoints import Checkpoint
from microbench.episodes.disturbed import Disturbances
from microbench.episodes.lookahead import lookahead
from microbench.episodes.loop import run_episodes
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions, attacked, check_victim
from microbench.evaluation.named_files import with_files
from microbench.evaluation.perturbed import in_obs_units, signals, world
from microbench.evaluation.plan import Chunk, Episode
from microbench.numerics.rows import one_thread
from microbench.simulators.contract import Simulator, make_simulator
from microbench.tasks import Task, find_task, normalized_score
from microbench.tasks.environment import registered
from reports.rows.results import SCHEMA

CLAIM_TOLERANCE = 0.05  # relative error allowed in a claimed return: other versions of MuJoCo change about as much


def evaluate_chunk(
    checkpoint: Checkpoint,
    conditions: Conditions,
    chunk: Chunk,
    watched: Callable[[Simulator], Simulator] = lambda simulator: simulator,
) -> pd.DataFrame:
    """Run the chunk's episodes in lock step and return one row of results each, in the chunk's order.

    `watched` may wrap the simulator in one of its own, for example to record the states.

    Raises:
        UserError: the policy belongs to another task.
        ValueError: an attack, perturbation or unit is unknown, or needs something that the policy lacks.

    """
    task = find_task(conditions.env_id)
    check_task(checkpoint, task)
    target = conditions.of(checkpoint.target)
    cells = [episode.cell for episode in chunk]
    worlds = [world(task, cell.perturbation, cell.factor) for cell in cells]
    seeds = [episode.seed for episode in chunk]
    under = attacked(target, task, conditions, cells)
    check_victim(under.attack, checkpoint, conditions)
    untouched = make_simulator(task, [at.model for at in worlds])
    with closing(watched(untouched)) as simulator, one_thread():
        noticed = [signals(at, simulator, i, under.target, conditions.unit, seeds[i]) for i, at in enumerate(worlds)]
        look = lookahead(under.attack, under.target, untouched, noticed)
        outcome = run_episodes(under.target, simulator, seeds, under.attack, under.threat, Disturbances(noticed), look)
    rows = []
    for number, (episode, at) in enumerate(zip(chunk, worlds, strict=True)):
        unchanged = not (at.is_nominal or at.effect or outcome.disturbed[number])
        flags = (*outcome.flags[number], *(("no-op-cell",) if unchanged else ()))
        flags = (*flags, *(("poor-critic",) if under.poor_critic else ()))
        rows.append(
            row_of(checkpoint, conditions, episode)
            | {
                "nominal": at.nominal,
                "return": outcome.returns[number],
                "length": outcome.lengths[number],
                "score": float(normalized_score(task, outcome.returns[number])),
                "flags": ";".join(flags),
            }
        )
    return pd.DataFrame(rows, columns=list(SCHEMA))


def row_of(checkpoint: Checkpoint, conditions: Conditions, episode: Episode) -> dict[str, object]:
    """The columns of an episode's row that are known before it runs: all but its outcome and the nominal factor.

    The unit is empty unless a budget or a factor is measured in it, and the norm is empty without an attack.
    """
    cell = episode.cell
    attacked = cell.attack != "none"
    files = with_files(cell).files if cell.files is None else cell.files
    attack_files, perturbation_files = files or ("", "")
    return {
        "algorithm": checkpoint.algorithm,
        "dataset": checkpoint.dataset,
        "train_seed": checkpoint.train_seed,
        "checkpoint": checkpoint.sha256,
        "task": conditions.env_id,
        "attack": cell.shown,
        "eps": cell.eps,
        "unit": conditions.unit if attacked or in_obs_units(cell.perturbation) else "",
        "norm": conditions.norm_column if attacked else "",
        "perturbation": cell.perturbation,
        "factor": cell.factor,
        "episode": episode.number,
        "eval_seed": episode.seed,
        "recipe": checkpoint.recipe,
        "attack_files": attack_files,
        "perturbation_files": perturbation_files,
    }


def check_task(checkpoint: Checkpoint, task: Task) -> None:
    """Raise UserError if the policy belongs to another robot; another version of its task is allowed.

    A trial call counts the policy's actions, so that one action is never broadcast to several motors.
    """
    sensors = len(checkpoint.target.scale("raw"))
    robots = [registered(env_id).rpartition("-v")[0] for env_id in (checkpoint.env_id, task.env_id)]
    frames = sensors // task.obs_size
    if frames > 1 and sensors == frames * task.obs_size:
        raise UserError(
            f"{checkpoint.path} takes {sensors} observations, {frames} × the {task.obs_size} of {task.env_id}: a stack "
            f"of {frames} frames, which is not evaluated here; wrap it as a module:callable with a memory."
        )
    if sensors != task.obs_size or robots[0] != robots[1]:
        raise UserError(
            f"{checkpoint.path} is a policy of {checkpoint.env_id} with {sensors} observations, {task.env_id} has "
            f"{task.obs_size}; give --env a version of the task it was trained for."
        )
    actions = _actions_of(checkpoint)
    if actions != (1, task.action_size):
        count = f"gives {actions[1]} actions" if len(actions) == 2 else f"gives actions of the shape {actions}"
        raise UserError(
            f"{checkpoint.path} {count} for one observation, {task.env_id} takes {task.action_size}; give --env the "
            f"task it was trained for."
        )


def _actions_of(checkpoint: Checkpoint) -> tuple[int, ...]:
    """The shape of the policy's action for one row of zeros."""
    target = checkpoint.target
    try:
        with torch.no_grad():
            return tuple(target.policy(target.blank).shape)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{checkpoint.path} cannot be called with one row of {target.blank.shape[1]} numbers ({reason}); expected "
            f"a policy (B, S) → (B, A)."
        ) from error


def flag_mismatch(rows: pd.DataFrame, checkpoint: str, claim: float | None) -> pd.DataFrame:
    """The rows, with the flag `clean-mismatch` on the policy's clean ones if their mean return differs from the claim.

    It differs if it is farther from the claim than 5 % of the claim, and than twice the mean's standard error.
    """
    clean = (rows["checkpoint"] == checkpoint) & (rows["attack"] == "none") & (rows["perturbation"] == "none")
    returns = rows.loc[clean, "return"]
    if claim is None or returns.empty:
        return rows
    error = 0.0 if len(returns) < 2 else float(returns.std()) / len(returns) ** 0.5
    if abs(float(returns.mean()) - claim) <= max(CLAIM_TOLERANCE * abs(claim), 2 * error):
        return rows
    flags = [";".join(dict.fromkeys([*filter(None, old.split(";")), "clean-mismatch"])) for old in rows["flags"]]
    return rows.assign(flags=rows["flags"].mask(clean, pd.Series(flags, index=rows.index, dtype=rows["flags"].dtype)))
