"""Stable-Baselines3 and sb3-contrib zips: weights from policy.pth, settings from the readable part of `data`.

Pickled entries of `data` (under `:serialized:`) are never executed. SAC, TQC, CrossQ, TD3 and DDPG squash their output;
actions of PPO, A2C, TRPO and linear ARS are clipped to the box.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from microbench.checkpoints import layers as nets
from microbench.checkpoints.activations import of_class
from microbench.checkpoints.actors import only
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.layers import Function, Layer
from microbench.checkpoints.readers.sb3_clock import clock_of
from microbench.checkpoints.readers.sb3_inputs import prepared
from microbench.checkpoints.readers.sb3_norm import folded
from microbench.checkpoints.readers.sb3_parts import are_weights, is_zip, parts_of, version
from microbench.checkpoints.readers.sb3_spaces import check_inputs, check_spaces, check_stack
from microbench.checkpoints.readers.sb3_statistics import config_beside, statistics_of
from microbench.checkpoints.stored_policy import Choices, StoredPolicy
from microbench.checkpoints.written_out import written_out
from microbench.errors import UserError

DROPPED_QUANTILES = 2  # TQC's top_quantiles_to_drop_per_net
RENORM_EPS = 1e-3  # CrossQ's batch_norm_eps
CLIP_MEAN = 2.0  # clip_mean of SAC's and TQC's actors with state-dependent exploration
PARTS = re.compile(
    r"(actor|actor_target)\.(latent_pi|mu)\.\d+\.(weight|bias)|(actor|actor_target)\.(mu|log_std)\.(weight|bias)"
    r"|actor\.log_std|critic(_target)?\.qf\d+\.\d+\.(weight|bias)|log_std"
    r"|mlp_extractor\.(shared|policy|value)_net\.\d+\.(weight|bias)|(action|value)_net(\.\d+)?\.(weight|bias)"
)
LOG_STD_BOUNDS = (-20.0, 2.0)  # of SB3's actors with a state-dependent log std


def detect(content: Content) -> bool:
    """Whether the file is a zip with policy.pth and data, or the weights of such a policy alone."""
    return is_zip(content) or are_weights(content)


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy, its critics if there are any, and the normalisation from beside the file."""
    data, tensors = parts_of(content)
    check_spaces(content.path, data)
    kwargs = data.get("policy_kwargs")
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    if any(name.startswith("lstm_") for name in tensors):
        raise _unsupported(content, "a recurrent policy (RecurrentPPO), whose memory the file does not describe")
    crossq = any(name.endswith(".ra_mean") for name in tensors)
    tensors = folded(tensors, float(kwargs.get("batch_norm_eps", RENORM_EPS)))
    only(tensors, lambda name: PARTS.fullmatch(name) is not None, "the policy")
    chain, spread, default = _actor(content, tensors)
    activation = choices.activation(*default_activation(default[0], kwargs))
    sizes = nets.sizes(chain)
    check_inputs(content.path, data, sizes[0])
    config = config_beside(content.path)
    check_stack(content.path, sizes, config, choices.overrides.env_id)
    stats = statistics_of(content, data, choices)
    clock = clock_of(sizes, data, config, choices)
    prepare, obs_size, memory = prepared(content, sizes[0], stats, clock)
    trunk = nets.after(prepare, nets.mlp(chain[:-1], activation, last=True)) if len(chain) > 1 else prepare
    norm, cut = None if stats is None else stats.norm, _cut(tensors, kwargs)
    network = written_out(chain, activation, norm)
    return StoredPolicy(
        algorithm="crossq" if crossq else _algorithm(data, tensors),
        obs_size=obs_size,
        action_size=sizes[-1],
        head=nets.after(trunk, _mean(chain[-1], cut)),
        squash=choices.squash(default[1], _stored_squash(tensors, kwargs)),
        log_std=_log_std(trunk, spread),
        critic=_critic(tensors, data, activation, prepare),
        critics=_critics(tensors, activation, prepare),
        value=_value(tensors, activation, prepare),
        scaled=True,
        network=None if network is None or memory is not None else replace(network, output=_cut_to(cut)),
        norm=norm,
        memory=memory,
        box=_box(data, sizes[-1]),
        train_seed=data.get("seed") if isinstance(data.get("seed"), int) else None,
        beside=() if stats is None else (stats.raw,),
        about={"layers": sizes, "steps": data.get("num_timesteps"), "version": version(content)},
    )


def _actor(
    content: Content, tensors: Mapping[str, Tensor]
) -> tuple[list[Layer], Layer | Tensor | None, tuple[str, str]]:
    """Layers up to the action, the log std, and the default (activation, squash) of the algorithm."""
    if "actor.mu.weight" in tensors:  # SAC, TQC
        chain = [*nets.numbered(tensors, "actor.latent_pi."), nets.layer(tensors, "actor.mu")]
        return chain, nets.layer(tensors, "actor.log_std"), ("relu", "tanh")
    if "actor.mu.0.weight" in tensors and "actor.log_std" in tensors:  # the same with state-dependent exploration
        return [*nets.numbered(tensors, "actor.latent_pi."), nets.layer(tensors, "actor.mu.0")], None, ("relu", "tanh")
    if "actor.mu.0.weight" in tensors:  # TD3, DDPG
        return nets.numbered(tensors, "actor.mu."), None, ("relu", "tanh")
    parts = ("mlp_extractor.shared_net.", "mlp_extractor.policy_net.")  # shared layers, if any, come first
    hidden = [layer for part in parts for layer in nets.numbered(tensors, part)]
    if "action_net.weight" in tensors:  # PPO, A2C, TRPO, linear ARS
        spread = tensors.get("log_std")
        return [*hidden, nets.layer(tensors, "action_net")], spread, ("tanh", "none")
    if "action_net.0.weight" in tensors:  # ARS, whose output SB3 squashes if there are hidden layers
        chain = nets.numbered(tensors, "action_net.")
        return chain, None, ("relu", "tanh" if len(chain) > 1 else "none")
    raise _unsupported(content, "a policy that is none of SAC, TQC, TD3, DDPG, PPO, A2C, TRPO and ARS")


def default_activation(default: str, kwargs: Mapping[str, Any]) -> tuple[str, str | None]:
    """The default and the stored activation; the latter is None if `data` has no activation_fn."""
    return default, of_class(str(kwargs["activation_fn"])) if "activation_fn" in kwargs else None


def _stored_squash(tensors: Mapping[str, Tensor], kwargs: Mapping[str, Any]) -> str | None:
    """The stored squash of policies with an action_net, which allow both; None if `data` does not say it."""
    squashes = kwargs.get("squash_output")
    if not isinstance(squashes, bool) or not any(name.startswith("action_net") for name in tensors):
        return None
    return "tanh" if squashes else "none"


def _cut(tensors: Mapping[str, Tensor], kwargs: Mapping[str, Any]) -> float:
    """To what the output is cut before squashing: ±clip_mean with state-dependent exploration, else not at all."""
    cut = float(kwargs.get("clip_mean", CLIP_MEAN)) if "actor.log_std" in tensors else 0.0
    return cut if cut > 0 else float("inf")


def _cut_to(cut: float) -> Function:
    return nets.unchanged if cut == float("inf") else lambda u: u.clamp(-cut, cut)


def _mean(layer: Layer, cut: float) -> Function:
    """The output before squashing."""
    return nets.after(nets.mlp([layer], "relu"), _cut_to(cut))


def _log_std(trunk: Function, spread: Layer | Tensor | None) -> Function | None:
    if spread is None:
        return None
    if isinstance(spread, Tensor):
        row = spread.float()
        return (lambda seen: row.expand(len(seen), -1)) if row.ndim == 1 else None
    network = nets.mlp([spread], "relu")
    return lambda seen: network(trunk(seen)).clamp(*LOG_STD_BOUNDS)


def _critic(
    tensors: Mapping[str, Tensor], data: Mapping[str, Any], activation: str, prepare: Function
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The minimum over critics; for TQC the mean of the quantiles that its own target keeps."""
    chains = _critic_chains(tensors)
    networks = [nets.mlp(chain, activation) for chain in chains]
    if not networks:
        return None
    if nets.sizes(chains[0])[-1] == 1:
        return nets.smallest(networks, prepare)
    return _truncated(networks, prepare, int(data.get("top_quantiles_to_drop_per_net", DROPPED_QUANTILES)))


def _critics(
    tensors: Mapping[str, Tensor], activation: str, prepare: Function
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The values of every critic, if there are several; for TQC the mean of each critic's quantiles."""
    networks = [nets.after(nets.mlp(chain, activation), _mean_output) for chain in _critic_chains(tensors)]
    return nets.side_by_side(networks, prepare) if len(networks) > 1 else None


def _mean_output(outputs: Tensor) -> Tensor:
    return outputs.mean(-1, keepdim=True)


def _critic_chains(tensors: Mapping[str, Tensor]) -> list[list[Layer]]:
    chains = [nets.numbered(tensors, f"critic.qf{number}.") for number in range(10)]
    return [chain for chain in chains if chain]


def _value(tensors: Mapping[str, Tensor], activation: str, prepare: Function) -> Function | None:
    """The value network V(s) of PPO, A2C and TRPO."""
    if "value_net.weight" not in tensors:
        return None
    parts = ("mlp_extractor.shared_net.", "mlp_extractor.value_net.")
    hidden = [layer for part in parts for layer in nets.numbered(tensors, part)]
    return nets.value_of([*hidden, nets.layer(tensors, "value_net")], activation, prepare)


def _truncated(networks: Sequence[Function], prepare: Function, dropped: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean of all critics' quantiles without the `dropped` largest per critic (Kuznetsov et al. 2020, eq. 12)."""

    def critic(obs: Tensor, action: Tensor) -> Tensor:
        x = torch.cat([prepare(obs), action], -1)
        quantiles = torch.cat([network(x) for network in networks], -1).sort(-1).values
        return quantiles[:, : quantiles.shape[-1] - dropped * len(networks)].mean(-1)

    return critic


def _algorithm(data: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """The algorithm by settings that only it has; for weights alone, the usual algorithm with such names."""
    if not data:
        return "ppo" if "action_net.weight" in tensors else "sac" if "actor.log_std.weight" in tensors else "td3"
    telling = {"sac": "target_entropy", "td3": "policy_delay", "ppo": "clip_range", "trpo": "cg_max_steps"}
    if "top_quantiles_to_drop_per_net" in data:
        return "tqc"
    if "delta_std_schedule" in data:
        return "ars"
    if data.get("policy_delay") == 1 and data.get("target_noise_clip") == 0:  # TD3 without its three changes
        return "ddpg"
    names = [name for name, setting in telling.items() if setting in data]
    return names[0] if names else "a2c" if "gae_lambda" in data else "ddpg"


def _box(data: Mapping[str, Any], size: int) -> tuple[Tensor, Tensor] | None:
    """Lowest and highest action, from the readable form of the space."""
    space = data.get("action_space") or {}
    texts = [re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", str(space.get(end, ""))) for end in ("low", "high")]
    if any(len(values) != size for values in texts):
        return None
    low, high = (torch.tensor([float(value) for value in values]) for values in texts)
    return low, high


def _unsupported(content: Content, what: str) -> UserError:
    return UserError(f"{content.path} holds {what}, which is not read here; wrap it as a module:callable.")
