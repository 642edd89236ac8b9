"""Build a checkpoint from a stored policy: action box, task, units of eps, and a trial call."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from attacks import Critic, Target
from microbench.checkpoints.actors import UNNORMALISED
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.layers import after
from microbench.checkpoints.record import Checkpoint, Source, identity
from microbench.checkpoints.statistics import Statistics, read_statistics
from microbench.checkpoints.stored_policy import Choices, StoredPolicy
from microbench.checkpoints.task_of import actuator_box, find_env_id
from microbench.checkpoints.written_out import executed
from microbench.errors import UserError


def assemble(
    family: str, policy: StoredPolicy, content: Content, choices: Choices, *, need_task: bool = True
) -> Checkpoint:
    """The checkpoint of a stored policy, with all units of eps that its target can serve."""
    overrides = choices.overrides
    env_id, choices.inferred["task"] = _task(policy, choices, need_task=need_task)
    center, half = _box(policy, choices)
    _compare_boxes(family, policy, choices, env_id)
    stats = _users_statistics(choices)
    others = policy.beside if stats is None or stats.raw in policy.beside else (*policy.beside, stats.raw)
    whole = identity(content.sha256, overrides, *others)
    action_box = _action_box(policy, center, half, env_id)
    target = Target(
        policy=_policy(policy, center, half),
        critic=_judging(policy.critic, policy, center, half),
        critics=_judging(policy.critics, policy, center, half),
        state_value=policy.value,
        obs_scale=_units(policy, choices, stats),
        obs_bounds=None if stats is None else stats.bounds,
        action_box=action_box,
        distribution=None if policy.log_std is None else _distribution(policy),
        memory=policy.memory,
        network=executed(policy.network, policy.squash, center, half, action_box),
    )
    _try(target, policy)
    return Checkpoint(
        path=content.path,
        sha256=whole,
        family=family,
        env_id=env_id,
        algorithm=policy.algorithm,
        dataset="",
        train_seed=policy.train_seed,
        stored_score=policy.stored_score,
        target=target,
        source=Source(
            path=str(content.path.resolve()), file_sha256=content.sha256, identity=whole, overrides=overrides
        ),
        about=dict(policy.about),
        inferred=choices.inferred,
    )


def _task(policy: StoredPolicy, choices: Choices, *, need_task: bool) -> tuple[str, str]:
    try:
        return find_env_id(str(choices.path), policy, choices.overrides.env_id)
    except UserError as error:
        if need_task:
            raise
        return "", str(error).removeprefix(str(choices.path)).strip()


def _policy(policy: StoredPolicy, center: Tensor, half: Tensor) -> Callable[[Tensor], Tensor]:
    if policy.squash == "none":
        return policy.head
    return lambda seen: center + half * torch.tanh(policy.head(seen))


def _judging(critic: Critic | None, policy: StoredPolicy, center: Tensor, half: Tensor) -> Critic | None:
    """The critic as a function of executed actions; stored critics may take actions scaled to ±1."""
    if critic is None or not policy.scaled:
        return critic
    return lambda obs, action: critic(obs, (action - center) / half)


def _distribution(policy: StoredPolicy) -> Callable[[Tensor], Normal]:
    log_std, squashed = policy.log_std, policy.outer and policy.squash == "tanh"
    assert log_std is not None
    middle = after(policy.head, torch.tanh) if squashed else policy.head
    return lambda seen: Normal(middle(seen), log_std(seen).exp(), validate_args=False)


def _box(policy: StoredPolicy, choices: Choices) -> tuple[Tensor, Tensor]:
    """Center and half-width (A,) of the action box."""
    max_action = choices.overrides.max_action
    if policy.squash == "none":
        return torch.zeros(policy.action_size), torch.ones(policy.action_size)
    if max_action is not None:
        choices.inferred["max-action"] = f"{max_action:g}: said on the command line"
        return torch.zeros(policy.action_size), torch.full((policy.action_size,), max_action)
    if policy.box is not None:
        choices.inferred["max-action"] = "the file has the action box"
        low, high = policy.box
        return (high + low) / 2, (high - low) / 2
    choices.inferred["max-action"] = "1: the file does not say; --max-action for another"
    return torch.zeros(policy.action_size), torch.ones(policy.action_size)


def _action_box(policy: StoredPolicy, center: Tensor, half: Tensor, env_id: str) -> tuple[Tensor, Tensor] | None:
    """Lowest and highest action (A,) of the actuators; None if neither the policy nor the task says it."""
    if policy.squash != "none":
        return center - half, center + half
    return policy.box if policy.box is not None or not env_id else actuator_box(env_id)


def _compare_boxes(family: str, policy: StoredPolicy, choices: Choices, env_id: str) -> None:
    """Record that a Stable-Baselines3 model has another action box than its task: a wrapper may have rescaled it."""
    task = actuator_box(env_id) if env_id and family == "sb3" and policy.box is not None else None
    if task is None or policy.box is None or task[0].shape != policy.box[0].shape:
        return
    if not all(torch.allclose(own, other, atol=1e-4) for own, other in zip(policy.box, task, strict=True)):
        low, high = (f"{float(end.abs().max()):g}" for end in (policy.box[1], task[1]))
        choices.inferred["action-box"] = (
            f"up to {low}, the actuators of {env_id} take {high}: if a wrapper rescaled actions, wrap it and "
            f"the policy as a module:callable"
        )


def _users_statistics(choices: Choices) -> Statistics | None:
    file = choices.overrides.obs_stats
    return None if file is None or str(file) == UNNORMALISED else read_statistics(file)


def _units(policy: StoredPolicy, choices: Choices, stats: Statistics | None) -> dict[str, Tensor]:
    """Raw half-width (S,) of one unit of eps, for every unit that can be served."""
    units = {"raw": torch.ones(policy.obs_size)}
    if policy.norm is not None:
        units["policy-norm"] = policy.norm.std[: policy.obs_size].clone()
    if stats is not None and not stats.policy:
        if len(stats.std) != policy.obs_size:
            raise UserError(
                f"{choices.overrides.obs_stats} is of {len(stats.std)} sensors, {choices.path} has {policy.obs_size}; "
                f"give the statistics of its task."
            )
        units["dataset-std"] = stats.std
        if stats.bounds is not None:
            units["range"] = stats.bounds[1] - stats.bounds[0]
    return units


def _try(target: Target, policy: StoredPolicy) -> None:
    """Call all functions once with zeros; raises ValueError now if their sizes do not fit."""
    memory = torch.zeros(0) if policy.memory is None else policy.memory.start
    obs = torch.cat([torch.zeros(policy.obs_size), memory])[None]
    action = target.policy(obs)
    if action.shape != (1, policy.action_size):
        raise ValueError(f"a policy whose actions have the shape {tuple(action.shape)}")
    if target.critic is not None and target.critic(obs, action).shape != (1,):
        raise ValueError("critics that do not fit the policy")
    if target.critics is not None and target.critics(obs, action).shape[1:] != (1,):
        raise ValueError("critics that do not fit the policy")
    if target.state_value is not None and target.state_value(obs).shape != (1,):
        raise ValueError("a value network that does not fit the policy")
    if target.distribution is not None and target.distribution(obs).stddev.shape[-1] != policy.action_size:
        raise ValueError("a spread that does not fit the policy")
