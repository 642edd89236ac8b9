"""The anchors of known tasks by every name that a table may give them: Gymnasium's, its earlier ones, and D4RL's."""

from itertools import product

from microbench.tasks import TASKS

DATASETS = ("random", "medium", "expert", "medium-replay", "medium-expert", "full-replay", "human", "cloned")
VERSIONS = range(6)


def known_anchors() -> dict[str, tuple[float, float]]:
    """Task → returns of a random and of an expert policy, for every known task that has reference scores.

    D4RL measures all versions of a robot and all datasets made with it by one pair.
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
