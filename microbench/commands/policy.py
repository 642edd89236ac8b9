"""Which policy a command means, in which unit it is attacked, and whether it was read as it was meant."""

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


def open_checkpoint(given: Path | None, runs: Path, overrides: Overrides) -> Checkpoint:
    """The policy of a file, a run folder, module:callable, or (nothing given) of the newest run.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    if given is not None and is_call(str(given)):
        return load(str(given), overrides)
    return load(find_policy(given, runs), overrides)


def say_choices(checkpoint: Checkpoint, *, quiet: bool) -> None:
    """What was chosen for a file that does not say it, and decides what is evaluated."""
    for name in CHOICES:
        choice = checkpoint.inferred.get(name, "")
        if choice and (name != "task" or BY_SIZES in choice):
            say(f"{checkpoint.path}: {name} {choice}.", quiet=quiet)


def results_folder(checkpoint: Checkpoint, out: Path | None, runs: Path) -> Path:
    """Where results go: the run's own folder, or for foreign files one below `runs` that names their content."""
    if out is not None:
        return out
    if checkpoint.family == OWN:
        return checkpoint.path.parent
    return runs / f"{checkpoint.path.stem.replace(':', '.')}-{checkpoint.sha256[:8]}"


def check_same_named_files(past: Sequence[Mapping[str, Any]], named: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UserError if a file that an attack or perturbation of earlier runs named has another content now."""
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
    """Three clean episodes of a foreign policy: worse than random means that it was probably read wrongly."""
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
