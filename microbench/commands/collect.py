"""`microbench collect`: an online SAC run whose replay buffer becomes a dataset."""

import math
import tempfile
from pathlib import Path

from microbench.data.d4rl import write_d4rl
from microbench.episodes.returns import clean_returns
from microbench.errors import UserError
from microbench.learning.agent import Agent
from microbench.learning.collect import CollectConfig, Progress, collect
from microbench.numerics.kernels import fast_float32_matmul
from microbench.progress import track
from microbench.tasks import find_task, normalized_score
from microbench.versions import versions


def collect_dataset(
    *, env_id: str, out: Path, steps: int, until_score: float | None, evaluate_every: int, seed: int, quiet: bool
) -> None:
    """Train SAC online, then write its episodes in D4RL layout; the file appears when it is complete.

    Raises:
        UserError: an unknown task, a number out of range, a score for a task without reference scores, or a file that
            exists already.
        OSError: the file cannot be written.

    """
    task = find_task(env_id)
    if min(steps, evaluate_every) < 1:
        raise UserError("--steps and --evaluate-every must be at least 1.")
    if until_score is not None and not math.isfinite(until_score):
        raise UserError(f"--until-score is {until_score}, expected a score, for example 50.")
    if until_score is not None and steps // evaluate_every * evaluate_every <= CollectConfig.random_steps:
        raise UserError(
            f"--until-score is never checked in {steps} steps ({CollectConfig.random_steps} are random) with "
            f"--evaluate-every {evaluate_every}; give more --steps."
        )
    if until_score is not None and task.expert_score is None:
        raise UserError(f"'{env_id}' has no reference scores, so --until-score means nothing there; give --steps.")
    if out.exists():
        raise UserError(f"{out} exists already; choose another --out, or remove it first.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out.parent):  # now, and not after hours: whether the folder can be written
        pass
    config = CollectConfig(
        env_id=env_id, seed=seed, steps=steps, until_score=until_score, evaluate_every=evaluate_every
    )

    def score(agent: Agent, episodes: int) -> float:
        returns = clean_returns(agent.actor, task, episodes)
        return float((normalized_score(task, returns) if task.expert_score is not None else returns).mean())

    with track("environment steps", steps, quiet=quiet) as tracker, fast_float32_matmul():

        def report(progress: Progress) -> None:
            tracker.advance_to(progress.step, f"score {progress.score:.1f}")
            tracker.line(f"step {progress.step}: score {progress.score:.1f}")

        episodes = collect(config, score, report)
    write_d4rl(out, episodes, _metadata(config))


def _metadata(config: CollectConfig) -> dict[str, str | int]:
    """The metadata of the file: the command and versions that made it, equal for equal datasets."""
    command = f"microbench collect --env {config.env_id} --seed {config.seed} --steps {config.steps}"
    if config.until_score is not None:
        command += f" --until-score {config.until_score} --evaluate-every {config.evaluate_every}"
    about: dict[str, str | int] = {"algorithm": "SAC", "env_id": config.env_id, "seed": config.seed}
    return about | {"command": command} | {f"versions/{name}": version for name, version in versions().items()}
