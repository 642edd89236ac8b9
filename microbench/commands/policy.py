"""The policy of a command: opening it, remarks on inferred settings, and a trial of foreign policies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from microbench.checkpoints import Checkpoint, Overrides, load
from microbench.checkpoints.call import is_call
from microbench.checkpoints.own import FAMILY as OWN
from microbench.checkpoints.task_of import BY_SIZES
from microbench.errors import UserError
from microbench.evaluation.attacked import (
    Conditions,
)
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, plan_episodes
from microbench.learning.runs import find_policy
from microbench.progress import say
from microbench.tasks import find_task

PROBE_EPISODES = 3
CHOICES = ("task", "clock", "container", "action-box")  # what was inferred and decides what is evaluated


def open_checkpoint(file: Path | None, runs: Path, overrides: Overrides) -> Checkpoint:
    """The policy of a file, a run folder or module:callable; without any, that of the newest run.

    Raises:
        UserError: there is no such policy, or it cannot be read.
    """
    if file is not None and is_call(str(file)):
        return load(str(file), overrides)
    return load(find_policy(file, runs), overrides)


def say_choices(checkpoint: Checkpoint, *, quiet: bool) -> None:
    """Print the inferred settings of a policy file that decide its results."""
    for name in CHOICES:
        choice = checkpoint.inferred.get(name, "")
        if choice and (name != "task" or BY_SIZES in choice):
            say(f"{checkpoint.path}: {name} {choice}.", quiet=quiet)


def results_folder(checkpoint: Checkpoint, out: Path | None, runs: Path) -> Path:
    """The folder of results: the run's own, or for foreign files one below `runs` named by their content."""
    if out is not None:
        return out
    if checkpoint.family == OWN:
        return checkpoint.path.parent
    return runs / f"{checkpoint.path.stem.replace(':', '.')}-{checkpoint.sha256[:8]}"


def check_same_named_files(past: Sequence[Mapping[str, Any]], named: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UserError if a file named by an attack or perturbation of earlier runs has another content now."""
    now = {file: sha for about in named.values() for file, sha in about["files"].items()}
    groups = [run.get(kind) for run in past for kind in ("attacks", "perturbations")]
    descriptions = [about for group in groups if isinstance(group, dict) for about in group.values()]
    known = [about.get("files") for about in descriptions if isinstance(about, dict)]
    for file, sha in ((file, sha) for files in known if isinstance(files, dict) for file, sha in files.items()):
        if now.get(file, sha) != sha:
            raise UserError(
                f"{file} has another content than the one that earlier rows here were measured with; give it another "
                f"name, or choose another --out."
            )


def probe(checkpoint: Checkpoint, conditions: Conditions, seed: int, *, quiet: bool) -> None:
    """Run three clean episodes of a foreign policy; warn if it is worse than random, so probably read wrongly."""
    say_choices(checkpoint, quiet=quiet)
    task = find_task(conditions.env_id)
    if checkpoint.family == OWN or task.random_score is None:
        return
    episodes = tuple(plan_episodes([CLEAN], PROBE_EPISODES, seed))
    earned = float(evaluate_chunk(checkpoint, conditions, episodes)["return"].mean())
    if not earned >= task.random_score:
        assumed = "; ".join(f"{name} {how}" for name, how in checkpoint.inferred.items() if name != "task")
        say(
            f"warning: {checkpoint.path} earns {earned:.0f} in {PROBE_EPISODES} episodes, a random policy "
            f"{task.random_score:.0f}: it was probably read wrongly ({assumed}).",
            quiet=False,
        )
