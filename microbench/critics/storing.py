"""Critic files: safetensors with a JSON description, without any code."""

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from microbench.checkpoints.containers.damage import telling
from microbench.checkpoints.containers.described import check_numbers, is_finite, read_described, widths
from microbench.critics.fitting import Fit
from microbench.critics.judging import poor
from microbench.critics.values import FittedCritic
from microbench.errors import UserError
from reports.files import replace

FAMILY = "microbench-critic"
FORMAT = 1
MOST_BYTES, MOST_MEMBERS = 2**28, 200
KINDS = {
    "env_id": str,
    "method": str,
    "victim": str,
    "source": str,
    "fit": dict,
    "method_settings": dict,
    "report": dict,
}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The origin of a critic: task, method, the victim's identity, the data, the settings and the report of the fit."""

    env_id: str
    method: str
    victim: str  # the checkpoint's sha256, as in results
    source: str
    fit: Fit
    method_settings: dict[str, Any]
    report: dict[str, Any]

    @property
    def poor(self) -> str:
        """Why attacks with this critic must not be trusted; empty if they may be."""
        return poor(self.report)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredCritic:
    """A critic with its origin; `sha256` is the file's."""

    path: Path
    sha256: str
    critic: FittedCritic
    origin: Origin


def save_critic(path: Path, critic: FittedCritic, origin: Origin) -> None:
    """Write a critic file, beside its place and then renamed.

    Raises:
        OSError: the file cannot be written.
    """
    tensors = {name: tensor.detach().contiguous() for name, tensor in sorted(critic.state_dict().items())}
    about = {"family": FAMILY, "format": FORMAT} | asdict(origin)
    replace(path, save(tensors, {"microbench": json.dumps(about, sort_keys=True, allow_nan=False)}))


def is_critic(content: bytes) -> bool:
    """Whether the first bytes of a file are those of a critic file."""
    return content[8:10] == b'{"' and FAMILY.encode() in content[: 8 + int.from_bytes(content[:8], "little")]


def load_critic(path: Path) -> StoredCritic:
    """Read a file written by `save_critic`.

    Raises:
        UserError: the file is missing, damaged, of another kind or of a newer format.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        raise UserError(f"there is no critic file {path}; fit one with `microbench critic`.")
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} has more than {MOST_BYTES >> 20} MiB; expected a critic file of at most that size.")
    content = path.read_bytes()
    with telling(path, "a critic file", "fit the critic again"):
        origin, critic = _parsed(content)
    return StoredCritic(path=path, sha256=hashlib.sha256(content).hexdigest(), critic=critic, origin=origin)


def _parsed(content: bytes) -> tuple[Origin, FittedCritic]:
    about, tensors = read_described(content)
    if (about.pop("family"), about.pop("format")) != (FAMILY, FORMAT):
        raise ValueError(f"it is no {FAMILY} of format {FORMAT}")
    wrong = [name for name, kind in KINDS.items() if not isinstance(about.get(name), kind)]
    if wrong or about.keys() != KINDS.keys():
        raise ValueError(f"it does not say its {', '.join(wrong) or 'description properly'}")
    settings = about.pop("fit")
    fit = _fit(settings)
    r2 = about["report"]["r2"]
    if not isinstance(r2, float) or not math.isfinite(r2):
        raise ValueError("its report has no R²")
    sizes = tensors["obs_mean"].numel(), tensors["action_center"].numel()
    expected = sum(a * b + b for a, b in itertools.pairwise((sum(sizes), *fit.hidden, 1))) * fit.members
    stored = sum(tensor.numel() for name, tensor in tensors.items() if name.startswith("networks."))
    if stored != expected:  # before anything of that size is made
        raise ValueError(f"it has {stored} weights, expected {expected}")
    critic = FittedCritic(*sizes, fit.hidden, fit.members, torch.Generator())
    critic.load_state_dict(tensors)
    check_numbers(tensors, positive=("obs_std", "action_scale", "value_scale"))
    return Origin(fit=fit, **about), critic.requires_grad_(False)


def _fit(settings: dict[str, Any]) -> Fit:
    """The settings of a fit; ValueError for a setting that is no number, and for too many members."""
    numbers = {name: value for name, value in settings.items() if name != "hidden"}
    if not all(is_finite(value) for value in numbers.values()) or type(settings["members"]) is not int:
        raise ValueError("settings of a fit that are no numbers")
    if not 0 < settings["members"] <= MOST_MEMBERS:
        raise ValueError("more members than an ensemble has, or none")
    try:
        return Fit(**numbers, hidden=widths(settings["hidden"]))
    except UserError as error:
        raise ValueError(str(error).removesuffix(".")) from error  # `telling` makes it an error of the file
