"""`microbench inspect` describes a policy file: its content, inferred settings, and the attacks that it can serve."""

import json
from pathlib import Path
from typing import Any

from attacks.target import GRADIENTS
from microbench.checkpoints import Checkpoint, Overrides, load
from microbench.checkpoints.call import is_call
from microbench.checkpoints.offers import servable
from microbench.evaluation.chunk import check_task
from microbench.learning.runs import find_policy
from microbench.shown import shown
from microbench.tasks import find_task

MOST_SHOWN = 1000  # characters of a line


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Everything known about the file, as a dictionary for JSON."""
    target = checkpoint.target
    attackable = servable(target)
    facts = {
        "file": str(checkpoint.path),
        "sha256": checkpoint.source.file_sha256,
        "identity": checkpoint.sha256,
        "family": checkpoint.family,
        "algorithm": checkpoint.algorithm,
        "task": checkpoint.env_id or None,
        "sensors": len(next(iter(target.obs_scale.values()))),
        "claim": checkpoint.stored_score,
        "train_seed": checkpoint.train_seed,
        **{name: value for name, value in checkpoint.about.items() if value not in (None, "")},
        "units": {unit: [round(float(width), 6) for width in scale] for unit, scale in target.obs_scale.items()},
        "gradients": target.has(GRADIENTS),
        "critic": target.critic is not None,
        "ensemble": target.critics is not None,
        "state_value": target.state_value is not None,
        "obs_bounds": target.obs_bounds is not None,
        "certificates": target.network is not None,
        "distribution": target.distribution is not None,
        "memory": len(target.start),
        "inferred": dict(checkpoint.inferred),
        "attacks": {name: why or "yes" for name, why in attackable.items()},
    }
    return {name: value for name, value in facts.items() if value is not None}


def text(facts: dict[str, Any]) -> str:
    """The facts as text, one line each, with units but without their numbers."""
    lines = []
    for name, value in facts.items():
        if name == "units":
            lines.append(f"units: {', '.join(value)}")
        elif isinstance(value, dict):
            lines += [f"{name}:", *(f"  {key}: {entry}" for key, entry in value.items())]
        else:
            lines.append(f"{name}: {_plain(value)}")
    return "\n".join(shown(line, MOST_SHOWN) for line in lines)  # files say some of it


def inspect(file: Path | None, runs: Path, overrides: Overrides, *, as_json: bool) -> str:
    """The description of a policy file, or of the newest run's without a file, as text or JSON.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    path = file if file is not None and is_call(str(file)) else find_policy(file, runs)
    checkpoint = load(path, overrides, need_task=False)
    if checkpoint.env_id:
        check_task(checkpoint, find_task(overrides.env_id or checkpoint.env_id))
    facts = describe(checkpoint)
    return json.dumps(facts, indent=2) if as_json else text(facts)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " → ".join(map(str, value))
    return str(value)
