"""D4RL's Adroit tasks: a hand with 24 joints and a pen, a door, a hammer or a ball. They run in Gymnasium itself."""

from microbench import imagined
from microbench.adroit import RULES
from microbench.mujoco_tasks import Task


def _task(name: str, obs_size: int, action_size: int, random_score: float, expert_score: float) -> Task:
    env_id = f"{name}-v1"
    return Task(
        env_id=env_id,
        name=name,
        obs_size=obs_size,
        action_size=action_size,
        horizon=RULES[env_id].horizon,
        random_score=random_score,
        expert_score=expert_score,
        imagined_terminal=imagined.pen_drops if name == "pen" else imagined.never_ends,
    )


_ALL = (
    _task("pen", 45, 24, 96.262799, 3076.8331017826877),
    _task("door", 39, 28, -56.512833, 2880.5693087298737),
    _task("hammer", 46, 26, -274.856578, 12794.134825156867),
    _task("relocate", 39, 30, -6.425911, 4233.877797728884),
)

ADROIT_TASKS: dict[str, Task] = {task.env_id: task for task in _ALL}
