"""Reference scores of known tasks under every usual name of a task: Gymnasium's, its earlier ones, and D4RL's."""

from itertools import product

from microbench.tasks import TASKS

DATASETS = ("random", "medium", "expert", "medium-replay", "medium-expert", "full-replay", "human", "cloned")
VERSIONS = range(6)


def known_anchors() -> dict[str, tuple[float, float]]:
    """Returns of a random and of an expert policy, by the name of every task that has reference scores.

    D4RL uses one pair for all versions of a robot and for all datasets collected with it.
    """
    anchors: dict[str, tuple[float, float]] = {}
    for env_id, task in TASKS.items():
        if task.random_score is None or task.expert_score is None:
            continue
        stem = env_id.rpartition("-")[0]
        names = [env_id, *(f"{stem}-v{version}" for version in VERSIONS)]
        names += [f"{stem.lower()}-{dataset}-v{version}" for dataset, version in product(DATASETS, VERSIONS)]
        anchors |= dict.fromkeys(names, (task.random_score, task.expert_score))
    return anchors
