"""Policy files of microbench itself: safetensors with a JSON description, which hold no code."""

import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.distributions import Normal

from attacks import Feedforward, Target
from microbench.checkpoints.containers.damage import DAMAGE, telling
from microbench.checkpoints.containers.described import check_numbers, read_described, widths
from microbench.checkpoints.record import NONE, Checkpoint, Overrides, Source
from microbench.data.dataset import Dataset
from microbench.errors import UserError
from microbench.learning.agent import Agent
from microbench.learning.networks import Actor, Critics
from microbench.shown import shown

FAMILY = "microbench"
FORMAT = 1
STATISTICS = ("obs_mean", "obs_std", "obs_range", "obs_low")
LATER = ("obs_low",)  # missing in older files, which then do not say the bounds of the data
RECIPE = re.compile("[0-9a-f]{0,64}")
KINDS = {"env_id": str, "algorithm": str, "dataset": str, "train_seed": int, "score": float | None}


@dataclass(frozen=True, kw_only=True)
class PolicyOrigin:
    """The origin of a trained policy, stored in its file."""

    env_id: str
    algorithm: str
    train_seed: int
    updates: int
    score: float | None  # normalized, measured at the end of training
    recipe: str = ""  # the same for all seeds of one policy (microbench.learning.recipe); empty in older files


def save_own(agent: Agent, dataset: Dataset, origin: PolicyOrigin) -> bytes:
    """The bytes of a policy file: actor, critics and the dataset's observation statistics."""
    tensors = _named(agent.actor, agent.critics)
    tensors |= {name: torch.from_numpy(getattr(dataset, name)) for name in STATISTICS}
    about = {
        "family": FAMILY,
        "format": FORMAT,
        "hidden": agent.config.hidden,
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        **vars(origin),
    }
    cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    return save(cpu, {"microbench": json.dumps(about, sort_keys=True, allow_nan=False)})


def load_own(path: Path, users_task: str | None = None) -> Checkpoint:
    """Read a policy file written by `save_own`; `users_task` is the task that the user names, if any.

    Raises:
        UserError: the file is missing, damaged, of another family or of a newer format. Or its tensors are not exactly
            those of such a policy.
        OSError: the file cannot be read.

    """
    if not path.is_file():
        raise UserError(f"there is no policy file {path}; give a run folder or a policy.safetensors.")
    content = (
        path.read_bytes()
    )  # read once, so that the loaded bytes are the hashed ones even if a training replaces the file
    about, tensors = parse_own(path, content)
    actor, critics = _networks(path, about, tensors)
    sha256 = hashlib.sha256(content).hexdigest()
    return Checkpoint(
        path=path,
        sha256=sha256,
        family=FAMILY,
        env_id=about["env_id"],
        algorithm=about["algorithm"],
        dataset=about["dataset"],
        train_seed=about["train_seed"],
        stored_score=about["score"],
        recipe=about.get("recipe", ""),
        target=Target(
            policy=actor,
            critic=lambda obs, action: critics(obs, action).amin(0),
            critics=critics,
            obs_scale={
                "dataset-std": tensors["obs_std"],
                "raw": torch.ones_like(tensors["obs_std"]),
                "range": tensors["obs_range"],
            },
            obs_bounds=own_bounds(tensors),
            action_box=(actor.action_center - actor.action_scale, actor.action_center + actor.action_scale),
            distribution=lambda obs: _distribution(actor, obs),
            network=_written_out(tensors, len(widths(about["hidden"])), actor),
        ),
        source=Source(
            path=str(path.resolve()),
            file_sha256=sha256,
            identity=sha256,
            overrides=Overrides(env_id=users_task) if users_task else NONE,
        ),
        about={name: about.get(name) for name in ("hidden", "updates", "dataset")},
    )


def _distribution(actor: Actor, obs: Tensor) -> Normal:
    mean, log_std = actor.head(obs)
    return Normal(mean, log_std.exp(), validate_args=False)


def _written_out(tensors: dict[str, Tensor], hidden: int, actor: Actor) -> Feedforward:
    names = [*(f"actor.layers.{place}" for place in range(hidden)), "actor.mean"]
    return Feedforward(
        layers=[(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names],
        activation="relu",
        output=lambda z: actor.action_center.to(z) + actor.action_scale.to(z) * torch.tanh(z),
    )


def own_bounds(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Smallest and largest observation (S,) of the dataset; None if the file does not say."""
    return (tensors["obs_low"], tensors["obs_low"] + tensors["obs_range"]) if "obs_low" in tensors else None


def parse_own(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the tensors of a policy file.

    Raises:
        UserError: the file is of another family or format, incomplete or damaged.
    """
    with telling(path):
        about, tensors = read_described(content)
        family, version = about.get("family"), about.get("format")
        named, numbered = shown(repr(family), 40), shown(repr(version), 40)
    if family is None:
        raise UserError(
            f"{path} is a safetensors file that another program wrote, which does not say what network it is of; store "
            f"the state dict with torch.save, or wrap it as a module:callable."
        )
    if (family, version) != (FAMILY, FORMAT):
        raise UserError(
            f"{path} is of family {named}, format {numbered}; expected {FAMILY!r}, format "
            f"{FORMAT}: update the package or train the policy again."
        )
    wrong = [name for name, kind in KINDS.items() if name not in about or not isinstance(about[name], kind)]
    recipe = about.get("recipe", "")
    wrong += [] if isinstance(recipe, str) and RECIPE.fullmatch(recipe) else ["recipe"]
    if wrong:
        raise UserError(f"{path} does not say its {', '.join(wrong)}; it is damaged, so train the policy again.")
    return about, tensors


def _networks(path: Path, about: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[Actor, Critics]:
    """Actor and critics with the stored weights; raises UserError unless the file has exactly their tensors."""
    try:
        hidden = widths(about.get("hidden"))
        obs_size, action_size = tensors["obs_std"].numel(), tensors["actor.action_scale"].numel()
        _check_sizes(tensors, (obs_size, *hidden), action_size)
        actor = Actor(obs_size, action_size, hidden, generator=torch.Generator())
        critics = Critics(obs_size, action_size, hidden, generator=torch.Generator())
    except DAMAGE as error:
        raise UserError(f"{path} does not describe a policy ({error!r}); it is damaged or foreign.") from error
    expected = {name: tensor.shape for name, tensor in _named(actor, critics).items()}
    known = [name for name in STATISTICS if name in tensors or name not in LATER]
    expected |= dict.fromkeys(known, torch.Size([obs_size]))
    stored = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | stored.keys()):
        shapes = [tuple(have[name]) if name in have else "no such tensor" for have in (stored, expected)]
        if shapes[0] != shapes[1]:
            raise UserError(f"{path} is damaged: '{shown(name, 60)}' has {shapes[0]}, expected {shapes[1]}.")
    with telling(path, way_out="train the policy again"):
        check_numbers(tensors, positive=("actor.action_scale",))
        if not all(bool((tensors[name] >= 0).all()) for name in ("obs_std", "obs_range")):
            raise ValueError("a standard deviation or range of observations is below 0")
    for prefix, network in (("actor.", actor), ("critics.", critics)):
        network.load_state_dict(
            {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}
        )
        network.requires_grad_(False)
    return actor, critics


def _check_sizes(tensors: dict[str, Tensor], sizes: tuple[int, ...], actions: int) -> None:
    """Raise ValueError unless the file holds the actor's layers in these sizes; else large networks could be built."""
    wanted = {f"actor.layers.{place}.weight": (b, a) for place, (a, b) in enumerate(itertools.pairwise(sizes))}
    wanted |= dict.fromkeys(("actor.mean.weight", "actor.log_std.weight"), (actions, sizes[-1]))
    for name, shape in wanted.items():
        if 0 in shape or (stored := tuple(tensors[name].shape)) != shape:
            raise ValueError(f"'{name}' has {stored}, expected {shape}" if 0 not in shape else "a layer of no size")


def _named(actor: Actor, critics: Critics) -> dict[str, Tensor]:
    """All tensors of both networks under their names in the file."""
    parts = {"actor": actor, "critics": critics}
    return {
        f"{part}.{name}": tensor for part, network in parts.items() for name, tensor in network.state_dict().items()
    }
