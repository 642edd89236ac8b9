"""Hand-made results rows for the tests of this folder."""

import hashlib

import pandas as pd

from reports.rows import results


def row(**changes: object) -> dict[str, object]:
    """A clean episode of one policy, with changes; another policy has another checkpoint, unless one is asked for."""
    clean: dict[str, object] = {
        "algorithm": "micro",
        "dataset": "hopper-medium-v2",
        "train_seed": 0,
        "checkpoint": "a" * 64,
        "task": "hopper",
        "attack": "none",
        "eps": 0.0,
        "unit": "dataset-std",
        "norm": "linf",
        "perturbation": "none",
        "factor": 1.0,
        "nominal": 1.0,
        "episode": 0,
        "eval_seed": 100,
        "return": 1000.0,
        "length": 1000,
        "score": 50.0,
        "flags": "",
        "recipe": "",
        "attack_files": "",
        "perturbation_files": "",
    }
    assert set(changes) <= set(clean), "a test asks for a column that does not exist"
    labels = [changes.get(name, clean[name]) for name in ("algorithm", "dataset", "train_seed", "recipe")]
    if labels != ["micro", "hopper-medium-v2", 0, ""]:
        clean["checkpoint"] = hashlib.sha256(repr(labels).encode()).hexdigest()
    return clean | changes


def episodes(scores: list[float], **changes: object) -> list[dict[str, object]]:
    """One row per score with common seeds 100, 101, ...; the return is 20 times the score."""
    return [
        row(**({"episode": i, "eval_seed": 100 + i, "score": score, "return": 20 * score} | changes))
        for i, score in enumerate(scores)
    ]


def table(*blocks: list[dict[str, object]]) -> pd.DataFrame:
    """A checked table of the blocks in their order."""
    return results.check(pd.DataFrame([one for block in blocks for one in block], dtype=object))
