"""Which policy a command means, in which unit it is attacked, and whether it was read as it was meant."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import attacks
from microbench.attacking import Conditions, find_attack
from microbench.checkpoints import Checkpoint, Overrides, load
from microbench.checkpoints.call import is_call
from microbench.checkpoints.offers import missing
from microbench.checkpoints.own import FAMILY as OWN
from microbench.errors import UserError
from microbench.evaluate import evaluate_chunk
from microbench.plan import CLEAN, Cell, plan_episodes
from microbench.runs import find_policy
from microbench.tasks import find_task
from reports.worst import WORST

PROBE_EPISODES = 3
UNITS_BY_DEFAULT = ("dataset-std", "policy-norm")  # never raw: it must be asked for


def open_checkpoint(given: Path | None, runs: Path, overrides: Overrides) -> Checkpoint:
    """The policy of a file, a run folder, module:callable, or (nothing given) of the newest run.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    if given is not None and is_call(str(given)):
        return load(str(given), overrides)
    return load(find_policy(given, runs), overrides)


def unit_of(checkpoint: Checkpoint, said: str | None) -> str:
    """The unit that was said, else the dataset's spread, else the policy's own.

    Raises:
        UserError: nothing was said, and the policy offers neither.
    """
    if said is not None:
        return said
    offered = checkpoint.target.obs_scale
    for unit in UNITS_BY_DEFAULT:
        if unit in offered:
            return unit
    raise UserError(
        f"{checkpoint.path} has no statistics of observations in which eps could be measured; give them with "
        f"--obs-stats, or choose --unit {', '.join(offered)}."
    )


def results_folder(checkpoint: Checkpoint, out: Path | None, runs: Path) -> Path:
    """Where results go: the run's own folder, or for foreign files one below `runs` that names their content."""
    if out is not None:
        return out
    if checkpoint.family == OWN:
        return checkpoint.path.parent
    return runs / f"{checkpoint.path.stem.replace(':', '.')}-{checkpoint.sha256[:8]}"


def servable_cells(checkpoint: Checkpoint, cells: Sequence[Cell], *, quiet: bool) -> list[Cell]:
    """The cells without attacks that this policy cannot serve; what is left out, and why, is said."""
    names = dict.fromkeys(cell.attack for cell in cells if cell.attack not in ("none", WORST))
    lacking = {name: why for name in names if (why := missing(find_attack(name), checkpoint.target))}
    for name, why in lacking.items():
        say(f"{name} is left out: {why}.", quiet=quiet)
    return [cell for cell in cells if cell.attack not in lacking]


def servable_suite(checkpoint: Checkpoint, named: Collection[str], *, quiet: bool) -> list[str]:
    """The attacks of `worst` that this policy can serve; of those that nobody has named it is said why not."""
    lacking = {name: missing(find_attack(name), checkpoint.target) for name in attacks.SUITE}
    for name, why in lacking.items():
        if why and name not in named:
            say(f"{name} is left out of worst: {why}.", quiet=quiet)
    return [name for name, why in lacking.items() if not why]


def check_attacks(checkpoint: Checkpoint, cells: Sequence[Cell]) -> None:
    """Raise UserError for an attack that was asked for and cannot be served."""
    for name in dict.fromkeys(cell.attack for cell in cells if cell.attack not in ("none", WORST)):
        why = missing(find_attack(name), checkpoint.target)
        if why:
            raise UserError(f"{name} cannot attack {checkpoint.path}: {why}.")


def probe(checkpoint: Checkpoint, conditions: Conditions, seed: int, *, quiet: bool) -> None:
    """Three clean episodes of a foreign policy: worse than random means that it was probably read wrongly."""
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


def say(sentence: str, *, quiet: bool) -> None:
    """A remark on the screen, beside the results."""
    if not quiet:
        print(f"microbench: {sentence}", file=sys.stderr)
