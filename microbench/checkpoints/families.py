"""All families of policy files, and how a file becomes a checkpoint, whoever wrote it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Normal

from attacks import Target
from microbench.checkpoints import call, expert, own, sa_ppo, sb3, state_dict
from microbench.checkpoints.content import Content, read_content, telling
from microbench.checkpoints.found import Choices, Found
from microbench.checkpoints.record import NONE, Checkpoint, Overrides, Source, identity
from microbench.checkpoints.statistics import read_statistics
from microbench.checkpoints.task_of import find_env_id
from microbench.errors import UserError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One family: whether a content is of it, and what it then holds."""

    detect: Callable[[Content], bool]
    read: Callable[[Content, Choices], Found]
    about: str


FAMILIES: Mapping[str, Reader] = {
    "sb3": Reader(detect=sb3.detect, read=sb3.read, about="Stable-Baselines3 and sb3-contrib zips"),
    "sa-ppo": Reader(detect=sa_ppo.detect, read=sa_ppo.read, about="SA-PPO, ATLA, PA-AD and WocaR .model files"),
    "expert": Reader(detect=expert.detect, read=expert.read, about="openai/imitation .h5 files and expert .pkl files"),
    "state-dict": Reader(detect=state_dict.detect, read=state_dict.read, about="single-file TD3 and SAC actors"),
}
"""Foreign families; the first whose `detect` is true reads a file."""


def load(path: Path | str, overrides: Overrides = NONE, *, need_task: bool = True) -> Checkpoint:
    """Read a policy file of any family; nothing in it is executed. Code runs only for module:callable.

    Without `need_task`, a policy whose task cannot be told has the task "".

    Raises:
        UserError: it is missing, damaged, of no known family, or the task is not told.
        OSError: it cannot be read.
    """
    if call.is_call(str(path)):
        return call.load_call(str(path), overrides)
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no policy file {path}; give a run folder or a policy file.")
    content = read_content(path)
    if content.kind == "safetensors" and overrides.family in (None, own.FAMILY):
        return _own(content, overrides)
    name = family_of(content, overrides.family)
    choices = Choices(path, overrides)
    with telling(path), torch.no_grad():
        found = FAMILIES[name].read(content, choices)
        return assemble(name, found, content, choices, need_task=need_task)


def family_of(content: Content, said: str | None = None) -> str:
    """The name of the family.

    Raises:
        UserError: an unknown name was said, or the content is of none; the sentence says what it looks like.
    """
    if said is not None and said not in FAMILIES:
        raise unknown_name("family", said, [*FAMILIES, own.FAMILY])
    with telling(content.path):
        fitting = [name for name, reader in FAMILIES.items() if said in (None, name) and reader.detect(content)]
    if fitting:
        return fitting[0]
    if said is not None:
        raise UserError(f"{content.path} is not of the family {said} ({_looks(content)}); leave --family out.")
    raise UserError(
        f"{content.path} is of no known family ({_looks(content)}); known are {', '.join([own.FAMILY, *FAMILIES])}; "
        f"for everything else give module:callable, a function that returns an attacks.Target."
    )


def _looks(content: Content) -> str:
    """What there is to see, for the message."""
    if content.tensors:
        return f"tensors {', '.join(list(content.tensors)[:5])[:100]}, …"
    if isinstance(content.tree, dict):
        return f"a {content.kind} file with {', '.join(map(str, list(content.tree)[:5]))[:100]}, …"
    return f"a {content.kind} file"


def _own(content: Content, overrides: Overrides) -> Checkpoint:
    unusable = [name for name in overrides.given if name not in ("family", "env_id")]
    if unusable:
        raise UserError(f"{content.path} says its own {', '.join(unusable)}; leave that option out.")
    return own.load_own(content.path)


def assemble(family: str, found: Found, content: Content, choices: Choices, *, need_task: bool = True) -> Checkpoint:
    """Put the functions of a file together to a target, in the units that it can serve."""
    said = choices.overrides
    env_id, choices.inferred["task"] = _task(found, choices, need_task=need_task)
    center, half = _box(found, choices)
    target = Target(
        policy=_policy(found, center, half),
        critic=found.critic,
        obs_scale=_units(found, choices),
        distribution=None if found.log_std is None else _distribution(found),
        memory=found.memory,
    )
    _try(target, found)
    return Checkpoint(
        path=content.path,
        sha256=identity(content.sha256, said, *found.beside),
        family=family,
        env_id=env_id,
        algorithm=found.algorithm,
        dataset="",
        train_seed=found.train_seed,
        claim=found.claim,
        target=target,
        source=Source(path=str(content.path.resolve()), sha256=content.sha256, overrides=said),
        about=dict(found.about),
        inferred=choices.inferred,
    )


def _task(found: Found, choices: Choices, *, need_task: bool) -> tuple[str, str]:
    try:
        return find_env_id(str(choices.path), found, choices.overrides.env_id)
    except UserError as error:
        if need_task:
            raise
        return "", str(error).removeprefix(str(choices.path)).strip()


def _policy(found: Found, center: Tensor, half: Tensor) -> Callable[[Tensor], Tensor]:
    if found.squash == "none":
        return found.head
    return lambda seen: center + half * torch.tanh(found.head(seen))


def _distribution(found: Found) -> Callable[[Tensor], Normal]:
    log_std = found.log_std
    assert log_std is not None
    return lambda seen: Normal(found.head(seen), log_std(seen).exp(), validate_args=False)


def _box(found: Found, choices: Choices) -> tuple[Tensor, Tensor]:
    """Center and half-width (A,) of the action box."""
    said = choices.overrides.max_action
    if found.squash == "none":
        return torch.zeros(found.action_size), torch.ones(found.action_size)
    if said is not None:
        choices.inferred["max-action"] = f"{said:g}: said on the command line"
        return torch.zeros(found.action_size), torch.full((found.action_size,), said)
    if found.box is not None:
        choices.inferred["max-action"] = "the file has the action box"
        low, high = found.box
        return (high + low) / 2, (high - low) / 2
    choices.inferred["max-action"] = "1: the file does not say; --max-action for another"
    return torch.zeros(found.action_size), torch.ones(found.action_size)


def _units(found: Found, choices: Choices) -> dict[str, Tensor]:
    """Raw half-width (S,) of one unit of eps, for every unit that can be served."""
    units = {"raw": torch.ones(found.obs_size)}
    if found.norm is not None:
        units["policy-norm"] = found.norm.std[: found.obs_size].clone()
    stats = None if choices.overrides.obs_stats is None else read_statistics(choices.overrides.obs_stats)
    if stats is not None and not stats.policy:
        if len(stats.std) != found.obs_size:
            raise UserError(
                f"{choices.overrides.obs_stats} is of {len(stats.std)} sensors, {choices.path} has {found.obs_size}; "
                f"give the statistics of its task."
            )
        units["dataset-std"] = stats.std
    return units


def _try(target: Target, found: Found) -> None:
    """One call with zeros, so that sizes that do not fit are told now; ValueError if they do not."""
    memory = torch.zeros(0) if found.memory is None else found.memory.start
    obs = torch.cat([torch.zeros(found.obs_size), memory])[None]
    action = target.policy(obs)
    if action.shape != (1, found.action_size):
        raise ValueError(f"a policy whose actions have the shape {tuple(action.shape)}")
    if target.critic is not None and target.critic(obs, action).shape != (1,):
        raise ValueError("critics that do not fit the policy")
    if target.distribution is not None and target.distribution(obs).stddev.shape[-1] != found.action_size:
        raise ValueError("a spread that does not fit the policy")


def reload(source: Source) -> Checkpoint:
    """The checkpoint in another process.

    Raises:
        UserError: the file is another one now.
    """
    checkpoint = load(source.path, source.overrides)
    if checkpoint.source.sha256 != source.sha256:
        raise UserError(f"{source.path} was replaced while it was evaluated; evaluate a policy whose training is over.")
    return replace(checkpoint, source=source)
