"""A small study with one of everything a report may have to show; its numbers come from a seeded generator."""

from typing import Any

import numpy as np
import pandas as pd

from tests.reports.toys import episodes, table

HOSTILE = "<script>alert(1)</script>"
"""The name of a policy that must stay text wherever it is shown."""

SIDECAR: dict[str, Any] = {
    "runs": [
        {
            "command": ["microbench", "attack", "runs/latest", "--eps", "0.1", "--attack", "my attacks:fgsm"],
            "versions": {"microbench": "0.1.0", "mujoco": "4.0.0", "torch": "2.13.0"},
            "conditions": {"env_id": "Hopper-v4", "unit": "dataset-std", "norm": "linf"},
            "checkpoint": "a" * 64,
            "seconds": 75.2,
        },
        {
            "command": ["microbench", "perturb", "runs/latest"],
            "versions": {"microbench": "0.1.0", "mujoco": "4.0.0", "torch": "2.13.0"},
            "conditions": {"env_id": "Hopper-v4", "unit": "dataset-std", "norm": "linf"},
            "checkpoint": "a" * 64,
            "seconds": 10.0,
            "effects": [
                {
                    "perturbation": "mass",
                    "factor": 1.5,
                    "physics": {"body_mass": 2.03, "body_inertia": 0.4},
                    "signals": [],
                },
                {"perturbation": "latency", "factor": 2.0, "physics": {}, "signals": ["latency"]},
                {"perturbation": "stiffness", "factor": 2.0, "physics": {}, "signals": []},
            ],
        },
    ]
}


def study() -> pd.DataFrame:
    """Two policies, one of them with two training runs; attacks at two budgets, perturbations, and flags."""
    noise = np.random.default_rng(0)

    def block(mean: float, **changes: object) -> list[dict[str, object]]:
        return episodes((mean + noise.normal(0, 3, 12)).round(3).tolist(), **changes)

    runs: list[dict[str, object]] = [{"algorithm": "micro", "train_seed": 0}, {"algorithm": "micro", "train_seed": 1}]
    runs[1]["checkpoint"] = "b" * 64
    runs.append({"algorithm": HOSTILE, "train_seed": 0, "checkpoint": "c" * 64})
    blocks = []
    for place, run in enumerate(runs):
        clean = 80.0 - 15 * (place == 2)
        blocks.append(block(clean, **run))
        for eps in (0.05, 0.1):
            for attack, loss in (("random", 20), ("pgd", 300), ("min-q", 180)):
                blocks.append(block(clean - loss * eps, attack=attack, eps=eps, **run))
        for name, factor, nominal, loss in (
            ("mass", 0.5, 1, 9),
            ("mass", 1.5, 1, 31),
            ("latency", 2, 0, 48),
        ):
            changes = {"perturbation": name, "factor": float(factor), "nominal": float(nominal)}
            blocks.append(block(clean - loss, **changes, **run))
        no_op = {"perturbation": "stiffness", "factor": 2.0, "flags": "no-op-cell"}
        blocks.append(block(clean, **no_op, **run))
        for friction in (0.5, 1.0):
            for gravity in (0.75, 1.0, 1.25):
                point = {"perturbation": f"friction={friction},gravity", "factor": gravity}
                blocks.append(block(clean - 40 * (2 - friction - 0.5 * gravity), **point, **run))
        both = {"attack": "pgd", "eps": 0.1, "perturbation": "mass", "factor": 1.5}
        blocks.append(block(clean - 55, **both, **run))
    blocks[-1][3] |= {"flags": "nan-action;their-own-flag"}
    return table(*blocks)
