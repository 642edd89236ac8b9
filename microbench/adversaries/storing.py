"""The file of a learned adversary: safetensors with a JSON description, without any code."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from microbench.adversaries import METHODS, evolution
from microbench.adversaries.ppo import Settings
from microbench.checkpoints.containers.damage import telling
from microbench.checkpoints.containers.described import check_numbers, is_finite, read_described, widths
from microbench.errors import UserError
from microbench.shown import shown

FAMILY = "microbench-adversary"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The training of an adversary, stored with it.

    `victim` is the sha256 of the policy, `steps` the number of environment steps.
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
    """The content of a file: for methods that evolve one layer, for others a network.

    layers  those of the deterministic mean, as (weight (out, in), bias (out,)), first to last
    mean    mean (S,) of its observations
    std     standard deviation (S,) of its observations
    curve   the learning curve, a record of numbers per update
    """

    origin: Origin
    settings: Settings | evolution.Settings
    layers: tuple[tuple[Tensor, Tensor], ...]
    mean: Tensor
    std: Tensor
    curve: list[dict[str, float | None]]


def save_adversary(stored: Stored) -> bytes:
    """The bytes of an adversary's file."""
    tensors = {"mean": stored.mean, "std": stored.std}
    for number, (weight, bias) in enumerate(stored.layers):
        tensors |= {f"layers.{number}.weight": weight, f"layers.{number}.bias": bias}
    about = {"family": FAMILY, "format": FORMAT, **asdict(stored.origin)}
    about |= {"settings": asdict(stored.settings), "curve": stored.curve}
    plain = {name: tensor.detach().float().contiguous() for name, tensor in sorted(tensors.items())}
    return save(plain, {"microbench": json.dumps(about, sort_keys=True, allow_nan=False)})


def parse_adversary(path: Path, content: bytes) -> Stored:
    """The adversary in the bytes of a file; `path` is for messages.

    Raises:
        UserError: the content is damaged, of another family or of a newer format.
    """
    with telling(path, "an adversary", "train it again"):
        about, tensors = read_described(content)
        family, version = about.get("family"), about.get("format")
        named, numbered = shown(repr(family), 40), shown(repr(version), 40)
        if family != FAMILY:
            raise UserError(f"{path} is no adversary but of family {named}; give a file of `microbench adversary`.")
        if version != FORMAT:
            raise UserError(f"{path} has format {numbered}, expected {FORMAT}; update the package or train it again.")
        origin = _origin(about)
        stored = Stored(
            origin=origin,
            settings=_settings(origin.method, about["settings"]),
            layers=_layers(tensors),
            mean=tensors["mean"],
            std=tensors["std"],
            curve=_curve(about["curve"]),
        )
        check_numbers(tensors, positive=("std",))
        _check(stored)
        return stored


def _origin(about: dict[str, Any]) -> Origin:
    kinds = {"method": str, "victim": str, "env_id": str, "unit": str, "norm": str, "steps": int, "seed": int}
    wrong = [name for name, kind in kinds.items() if not isinstance(about[name], kind)]
    if wrong or not is_finite(about["eps"]) or about["eps"] < 0 or about["method"] not in METHODS:
        raise ValueError("its description is incomplete or of an unknown method")
    return Origin(eps=float(about["eps"]), **{name: about[name] for name in kinds})


def _settings(method: str, settings: dict[str, Any]) -> Settings | evolution.Settings:
    if METHODS[method].evolves:
        return evolution.Settings(**settings)
    return Settings(**{**settings, "hidden": widths(settings["hidden"])})


def _curve(rows: Any) -> list[dict[str, float | None]]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("a learning curve that is none")
    if not all(value is None or is_finite(value) for row in rows for value in row.values()):
        raise ValueError("a learning curve of something else than numbers")
    return rows


def _layers(tensors: dict[str, Tensor]) -> tuple[tuple[Tensor, Tensor], ...]:
    count = (len(tensors) - 2) // 2
    layers = tuple((tensors[f"layers.{i}.weight"], tensors[f"layers.{i}.bias"]) for i in range(count))
    if not layers or len(tensors) != 2 + 2 * count:
        raise ValueError("other tensors than those of an adversary")
    return layers


def _check(stored: Stored) -> None:
    """Raise ValueError unless the sizes fit one another, and the decisions of the method."""
    if stored.mean.ndim != 1 or stored.std.shape != stored.mean.shape:
        raise ValueError("statistics that do not fit")
    size = stored.mean.shape
    for weight, bias in stored.layers:
        if weight.ndim != 2 or weight.shape[1:] != size or bias.shape != weight.shape[:1]:
            raise ValueError("layers whose sizes do not fit")
        size = bias.shape
    sensors, decisions = len(stored.mean), size[0]
    expected = METHODS[stored.origin.method].decides(sensors, decisions)
    if decisions != expected or not decisions:
        raise ValueError(f"it decides {decisions} numbers for {sensors} sensors, expected {expected}")
