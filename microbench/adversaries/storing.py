"""The file of a learned adversary: safetensors with a JSON description, nothing that could run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from microbench.adversaries import METHODS
from microbench.adversaries.ppo import Settings
from microbench.errors import UserError

FAMILY = "microbench-adversary"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What an adversary was trained for and how; stored with it.

    `victim` is the sha256 of the policy, `steps` counts environment steps.
    """

    method: str
    victim: str
    env_id: str
    eps: float
    unit: str
    norm: str
    steps: int
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """What a file holds.

    `layers` of the deterministic mean as (weight (out, in), bias (out,)), first to last; mean and std (S,) of what it
    observes; the learning curve, a record of numbers per update.
    """

    origin: Origin
    settings: Settings
    layers: tuple[tuple[Tensor, Tensor], ...]
    mean: Tensor
    std: Tensor
    curve: list[dict[str, float | None]]


def save_adversary(stored: Stored) -> bytes:
    """The bytes of the file."""
    tensors = {"mean": stored.mean, "std": stored.std}
    for number, (weight, bias) in enumerate(stored.layers):
        tensors |= {f"layers.{number}.weight": weight, f"layers.{number}.bias": bias}
    about = {"family": FAMILY, "format": FORMAT, **asdict(stored.origin)}
    about |= {"settings": asdict(stored.settings), "curve": stored.curve}
    plain = {name: tensor.detach().float().contiguous() for name, tensor in sorted(tensors.items())}
    return save(plain, {"microbench": json.dumps(about, sort_keys=True, allow_nan=False)})


def parse_adversary(path: Path, content: bytes) -> Stored:
    """What `save_adversary` wrote; `path` is for messages.

    Raises:
        UserError: the content is damaged, of another family or of a newer format.
    """
    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = json.loads(header.get("__metadata__", {}).get("microbench", "{}"))
        family, version = about.get("family"), about.get("format")
        if family != FAMILY:
            raise UserError(f"{path} is no adversary but of family {family!r}; give a file of `microbench adversary`.")
        if version != FORMAT:
            raise UserError(f"{path} has format {version!r}, expected {FORMAT}; update the package or train it again.")
        stored = Stored(
            origin=_origin(about),
            settings=Settings(**{**about["settings"], "hidden": tuple(about["settings"]["hidden"])}),
            layers=_layers(tensors),
            mean=tensors["mean"],
            std=tensors["std"],
            curve=list(about["curve"]),
        )
        _check(stored)
    except UserError:
        raise
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as error:
        told = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{path} cannot be read as an adversary ({told}); it is damaged, so train it again.") from error
    return stored


def _origin(about: dict[str, Any]) -> Origin:
    kinds = {"method": str, "victim": str, "env_id": str, "unit": str, "norm": str, "steps": int, "seed": int}
    wrong = [name for name, kind in kinds.items() if not isinstance(about[name], kind)]
    if wrong or not isinstance(about["eps"], (int, float)) or about["method"] not in METHODS:
        raise ValueError("its description is incomplete or of an unknown method")
    return Origin(eps=float(about["eps"]), **{name: about[name] for name in kinds})


def _layers(tensors: dict[str, Tensor]) -> tuple[tuple[Tensor, Tensor], ...]:
    count = (len(tensors) - 2) // 2
    layers = tuple((tensors[f"layers.{i}.weight"], tensors[f"layers.{i}.bias"]) for i in range(count))
    if not layers or len(tensors) != 2 + 2 * count:
        raise ValueError("other tensors than those of an adversary")
    return layers


def _check(stored: Stored) -> None:
    """ValueError unless the sizes fit and every number is finite."""
    size = stored.mean.shape
    for weight, bias in stored.layers:
        if weight.ndim != 2 or weight.shape[1:] != size or bias.shape != weight.shape[:1]:
            raise ValueError("layers whose sizes do not fit")
        size = bias.shape
    tensors = [stored.mean, stored.std, *(tensor for layer in stored.layers for tensor in layer)]
    if stored.std.shape != stored.mean.shape or not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise ValueError("statistics that do not fit, or numbers that are not finite")
    if any(tensor.dtype != torch.float32 for tensor in tensors) or not bool((stored.std > 0).all()):
        raise ValueError("numbers of another kind")
