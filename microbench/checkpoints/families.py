"""All families of policy files, and loading a file of any family as a checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from microbench.checkpoints import call, own, unreadable
from microbench.checkpoints.assembling import assemble
from microbench.checkpoints.containers.budget import accounted
from microbench.checkpoints.containers.content import Content, read_content
from microbench.checkpoints.containers.damage import telling
from microbench.checkpoints.layers import UnknownPart
from microbench.checkpoints.programs import onnx, torchscript
from microbench.checkpoints.readers import (
    cleanrl,
    corl,
    d3rlpy,
    d4rl_policy,
    expert,
    offlinerl_kit,
    rorl,
    sa_ppo,
    sb3,
    state_dict,
)
from microbench.checkpoints.record import NONE, Checkpoint, Overrides, Source
from microbench.checkpoints.stored_policy import Choices, StoredPolicy
from microbench.checkpoints.wrapped import explain, unwrapped
from microbench.errors import UserError, unknown_name
from microbench.numerics.strict_products import use_strict_products


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One family: `detect` recognises its files, `read` returns their stored policy."""

    detect: Callable[[Content], bool]
    read: Callable[[Content, Choices], StoredPolicy]
    about: str


FAMILIES: Mapping[str, Reader] = {
    "sb3": Reader(detect=sb3.detect, read=sb3.read, about="Stable-Baselines3 and sb3-contrib zips"),
    "sa-ppo": Reader(detect=sa_ppo.detect, read=sa_ppo.read, about="SA-PPO, ATLA, PA-AD and WocaR .model files"),
    "corl": Reader(detect=corl.detect, read=corl.read, about="CORL .pt files"),
    "offlinerl-kit": Reader(
        detect=offlinerl_kit.detect, read=offlinerl_kit.read, about="OfflineRL-Kit, MICRO and MOBILE policy.pth files"
    ),
    "rorl": Reader(detect=rorl.detect, read=rorl.read, about="snapshots of RORL and EDAC"),
    "d3rlpy": Reader(detect=d3rlpy.detect, read=d3rlpy.read, about="d3rlpy .d3 files"),
    "cleanrl": Reader(detect=cleanrl.detect, read=cleanrl.read, about="CleanRL .cleanrl_model files"),
    "d4rl-policy": Reader(detect=d4rl_policy.detect, read=d4rl_policy.read, about="policies inside D4RL hdf5 files"),
    "expert": Reader(detect=expert.detect, read=expert.read, about="openai/imitation .h5 files and expert .pkl files"),
    "state-dict": Reader(detect=state_dict.detect, read=state_dict.read, about="single-file TD3 and SAC actors"),
    "torchscript": Reader(detect=torchscript.detect, read=torchscript.read, about="policies saved by torch.jit.save"),
    "onnx": Reader(detect=onnx.detect, read=onnx.read, about="policies exported as ONNX"),
}
"""Families of other programs, in order: the first family whose `detect` is true reads a file."""


def load(path: Path | str, overrides: Overrides = NONE, *, need_task: bool = True) -> Checkpoint:
    """Read a policy file of any family, without executing anything in it. Code runs only for module:callable.

    Without `need_task`, the task of a policy may stay unknown and is then "".

    Raises:
        UserError: the file is missing, damaged or of no known family, or the policy's task is unknown.
        OSError: the file cannot be read.
    """
    use_strict_products()  # a policy that is read will be evaluated, and no product has been computed yet
    if call.is_call(str(path)):
        return call.load_call(str(path), overrides)
    path = Path(path)
    if overrides.family == own.FAMILY:
        return own.load_own(path, overrides.env_id)
    if not path.is_file():
        raise UserError(f"there is no policy file {path}; give a run folder or a policy file.")
    with accounted(0):  # the file and files beside it share one account
        return _read(path, overrides, need_task=need_task)


def _read(path: Path, overrides: Overrides, *, need_task: bool) -> Checkpoint:
    content = read_content(path)
    if content.kind == "safetensors" and overrides.family is None:
        return _own(content, overrides)
    choices = Choices(path, overrides)
    name, content = _network(content, choices)
    with telling(path), torch.no_grad():
        try:
            policy = FAMILIES[name].read(content, choices)
        except UnknownPart as unknown:
            raise UserError(f"{path} has {unknown}, which is not read here; {unreadable.WRAP}.") from unknown
        return assemble(name, policy, content, choices, need_task=need_task)


def _network(content: Content, choices: Choices) -> tuple[str, Content]:
    """The name of the family, and the content or the one entry of it that belongs to this family.

    Raises:
        UserError: --family names no family, or the content is of none; the message describes the content.
    """
    family_name = choices.overrides.family
    if family_name is not None and family_name not in FAMILIES:
        raise unknown_name("family", family_name, [*FAMILIES, own.FAMILY])

    def family(inner: Content) -> str | None:
        fitting = (name for name, reader in FAMILIES.items() if family_name in (None, name) and reader.detect(inner))
        return next(fitting, None)

    with telling(content.path):
        name = family(content)
        if name is not None:
            return name, content
        inner = unwrapped(content, family)
        if inner is not None:
            explain(inner[1], choices)
            return str(family(inner[0])), inner[0]
    if family_name is not None:
        raise UserError(f"{content.path} is not of the family {family_name} ({_looks(content)}); leave --family out.")
    why = unreadable.why(content)
    if why:
        raise UserError(f"{content.path} {why}.")
    raise UserError(
        f"{content.path} is of no known family ({_looks(content)}); known are {', '.join([own.FAMILY, *FAMILIES])}; "
        f"for everything else give module:callable, a function that returns an attacks.Target."
    )


def _looks(content: Content) -> str:
    """A description of the content for a message."""
    if content.tensors:
        return f"tensors {', '.join(list(content.tensors)[:5])[:100]}, …"
    if isinstance(content.tree, dict):
        return f"a {content.kind} file with {', '.join(map(str, list(content.tree)[:5]))[:100]}, …"
    return unreadable.what(content).removeprefix("is ")


def _own(content: Content, overrides: Overrides) -> Checkpoint:
    unusable = [name for name in overrides.settings if name not in ("family", "env_id")]
    if unusable:
        raise UserError(f"{content.path} says its own {', '.join(unusable)}; leave that option out.")
    return own.load_own(content.path, overrides.env_id)


def reload(source: Source) -> Checkpoint:
    """Load the checkpoint of a source again, in another process.

    Raises:
        UserError: the file has changed since the source was made.
    """
    checkpoint = load(source.path, source.overrides)
    if checkpoint.sha256 != source.identity:
        raise UserError(f"{source.path} was replaced while it was evaluated; evaluate a policy whose training is over.")
    return replace(checkpoint, source=source)
