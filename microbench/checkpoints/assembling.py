"""From the functions found in a file to a checkpoint: action box, task, units, and a trial call."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from attacks import Critic, Target
from microbench.checkpoints.actors import UNNORMALISED
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.found import Choices, Found
from microbench.checkpoints.layers import after
from microbench.checkpoints.record import Checkpoint, Source, identity
from microbench.checkpoints.statistics import Statistics, read_statistics
from microbench.checkpoints.task_of import actuator_box, find_env_id
from microbench.checkpoints.written_out import executed
from microbench.errors import UserError


def assemble(family: str, found: Found, content: Content, choices: Choices, *, need_task: bool = True) -> Checkpoint:
    """Put the functions of a file together to a target, in the units that it can serve."""
    said = choices.overrides
    env_id, choices.inferred["task"] = _task(found, choices, need_task=need_task)
    center, half = _box(found, choices)
    _compare_boxes(family, found, choices, env_id)
    stats = _given_statistics(choices)
    others = found.beside if stats is None or stats.raw in found.beside else (*found.beside, stats.raw)
    whole = identity(content.sha256, said, *others)
    action_box = _action_box(found, center, half, env_id)
    target = Target(
        policy=_policy(found, center, half),
        critic=_judging(found.critic, found, center, half),
        critics=_judging(found.critics, found, center, half),
        state_value=found.value,
        obs_scale=_units(found, choices, stats),
        obs_bounds=None if stats is None else stats.bounds,
        action_box=action_box,
        distribution=None if found.log_std is None else _distribution(found),
        memory=found.memory,
        network=executed(found.network, found.squash, center, half, action_box),
    )
    _try(target, found)
    return Checkpoint(
        path=content.path,
        sha256=whole,
        family=family,
        env_id=env_id,
        algorithm=found.algorithm,
        dataset="",
        train_seed=found.train_seed,
        claim=found.claim,
        target=target,
        source=Source(path=str(content.path.resolve()), sha256=content.sha256, identity=whole, overrides=said),
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


def _judging(critic: Critic | None, found: Found, center: Tensor, half: Tensor) -> Critic | None:
    """The critic, or the critics together, of actions as they are executed."""
    if critic is None or not found.scaled:
        return critic
    return lambda obs, action: critic(obs, (action - center) / half)


def _distribution(found: Found) -> Callable[[Tensor], Normal]:
    log_std, squashed = found.log_std, found.outer and found.squash == "tanh"
    assert log_std is not None
    middle = after(found.head, torch.tanh) if squashed else found.head
    return lambda seen: Normal(middle(seen), log_std(seen).exp(), validate_args=False)


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


def _action_box(found: Found, center: Tensor, half: Tensor, env_id: str) -> tuple[Tensor, Tensor] | None:
    """Lowest and highest action (A,) that an actuator takes; None if neither the policy nor the task says it."""
    if found.squash != "none":
        return center - half, center + half
    return found.box if found.box is not None or not env_id else actuator_box(env_id)


def _compare_boxes(family: str, found: Found, choices: Choices, env_id: str) -> None:
    """Note that a model of Stable-Baselines3 has another action box than its task: a wrapper may have rescaled."""
    task = actuator_box(env_id) if env_id and family == "sb3" and found.box is not None else None
    if task is None or found.box is None or task[0].shape != found.box[0].shape:
        return
    if not all(torch.allclose(own, other, atol=1e-4) for own, other in zip(found.box, task, strict=True)):
        low, high = (f"{float(end.abs().max()):g}" for end in (found.box[1], task[1]))
        choices.inferred["action-box"] = (
            f"up to {low}, the actuators of {env_id} take {high}: if a wrapper rescaled actions, wrap it and "
            f"the policy as a module:callable"
        )


def _given_statistics(choices: Choices) -> Statistics | None:
    said = choices.overrides.obs_stats
    return None if said is None or str(said) == UNNORMALISED else read_statistics(said)


def _units(found: Found, choices: Choices, stats: Statistics | None) -> dict[str, Tensor]:
    """Raw half-width (S,) of one unit of eps, for every unit that can be served."""
    units = {"raw": torch.ones(found.obs_size)}
    if found.norm is not None:
        units["policy-norm"] = found.norm.std[: found.obs_size].clone()
    if stats is not None and not stats.policy:
        if len(stats.std) != found.obs_size:
            raise UserError(
                f"{choices.overrides.obs_stats} is of {len(stats.std)} sensors, {choices.path} has {found.obs_size}; "
                f"give the statistics of its task."
            )
        units["dataset-std"] = stats.std
        if stats.bounds is not None:
            units["range"] = stats.bounds[1] - stats.bounds[0]
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
    if target.critics is not None and target.critics(obs, action).shape[1:] != (1,):
        raise ValueError("critics that do not fit the policy")
    if target.state_value is not None and target.state_value(obs).shape != (1,):
        raise ValueError("a value network that does not fit the policy")
    if target.distribution is not None and target.distribution(obs).stddev.shape[-1] != found.action_size:
        raise ValueError("a spread that does not fit the policy")
