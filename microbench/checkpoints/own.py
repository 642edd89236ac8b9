"""Our own policy files: safetensors with a JSON description, nothing that could run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.distributions import Normal

from attacks import Target
from microbench.agent import Agent
from microbench.checkpoints.record import Checkpoint
from microbench.data.d4rl import file_sha256
from microbench.data.dataset import Dataset
from microbench.errors import UserError
from microbench.networks import Actor, Critics

FAMILY = "microbench"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a policy comes from; stored with it."""

    env_id: str
    algorithm: str
    train_seed: int
    updates: int
    score: float | None  # normalized, measured at the end of training


def save_own(agent: Agent, dataset: Dataset, origin: Origin) -> bytes:
    """The bytes of a policy file: actor, critics and the dataset's observation statistics."""
    tensors = {f"actor.{name}": tensor for name, tensor in agent.actor.state_dict().items()}
    tensors |= {f"critics.{name}": tensor for name, tensor in agent.critics.state_dict().items()}
    statistics = {"obs_mean": dataset.obs_mean, "obs_std": dataset.obs_std, "obs_range": dataset.obs_range}
    tensors |= {name: torch.from_numpy(array) for name, array in statistics.items()}
    about = {
        "family": FAMILY,
        "format": FORMAT,
        "hidden": agent.config.hidden,
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        **vars(origin),
    }
    cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    return save(cpu, {"microbench": json.dumps(about, sort_keys=True)})


def load_own(path: Path) -> Checkpoint:
    """Read a policy file written by `save_own`.

    Raises:
        UserError: the file is missing, damaged, of another family or of a newer format.

    """
    about, tensors = _read(path)
    actor, critics = _networks(path, about, tensors)
    return Checkpoint(
        path=path,
        sha256=file_sha256(path),
        family=FAMILY,
        env_id=about["env_id"],
        algorithm=about["algorithm"],
        dataset=about["dataset"],
        train_seed=about["train_seed"],
        claim=about["score"],
        target=Target(
            policy=actor,
            critic=lambda obs, action: critics(obs, action).amin(0),
            obs_scale={
                "dataset-std": tensors["obs_std"],
                "raw": torch.ones_like(tensors["obs_std"]),
                "range": tensors["obs_range"],
            },
            distribution=lambda obs: _distribution(actor, obs),
        ),
    )


def _distribution(actor: Actor, obs: Tensor) -> Normal:
    mean, log_std = actor.head(obs)
    return Normal(mean, log_std.exp(), validate_args=False)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise UserError(f"there is no policy file {path}; give a run folder or a policy.safetensors.")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("microbench", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read as a policy file ({error}); it is damaged or foreign.") from error
    if about.get("family") != FAMILY or about.get("format") != FORMAT:
        raise UserError(
            f"{path} is of family {about.get('family')!r}, format {about.get('format')!r}; expected {FAMILY!r}, "
            f"format {FORMAT}: update the package or train the policy again."
        )
    return about, tensors


def _networks(path: Path, about: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[Actor, Critics]:
    try:
        obs_size, action_size = len(tensors["obs_std"]), len(tensors["actor.action_scale"])
        start = torch.Generator()
        actor = Actor(obs_size, action_size, about["hidden"], generator=start)
        critics = Critics(obs_size, action_size, about["hidden"], generator=start)
        for name, network in (("actor.", actor), ("critics.", critics)):
            weights = {key.removeprefix(name): value for key, value in tensors.items() if key.startswith(name)}
            network.load_state_dict(weights)
            network.requires_grad_(False)
    except (KeyError, RuntimeError, TypeError) as error:
        raise UserError(f"{path} lacks or misshapes a part of the policy ({error}); it is damaged.") from error
    return actor, critics
