"""CleanRL's .cleanrl_model files: PPO's agent, TD3's and DDPG's (actor, critics), and SAC's actor.

Huang et al. 2022 (arXiv:2111.08819). PPO trains on observations normalised by a wrapper that is not stored.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from microbench.checkpoints import layers as nets
from microbench.checkpoints.actors import Actor, policy_of, required_norm
from microbench.checkpoints.containers.content import Content, state_dict
from microbench.checkpoints.stored_policy import Choices, StoredPolicy

EPS, CLIP = 1e-8, 10.0  # epsilon of Gymnasium's NormalizeObservation, and the clipping after it
BOX = ("action_scale", "action_bias")


def detect(content: Content) -> bool:
    """Whether the file has actor_mean layers, or an actor with fc_mu or fc_mean and its action box."""
    actor = _parts(content)[0]
    if "actor_mean.0.weight" in actor:
        return set(actor) <= _ppo_names(actor)
    heads = [name for name in ("fc_mu", "fc_mean") if f"{name}.weight" in actor]
    known = {f"{name}.{part}" for name in ("fc1", "fc2", "fc_logstd", *heads) for part in ("weight", "bias")}
    return bool(heads) and set(actor) <= known | set(BOX) and "action_scale" in actor


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy, with critics if the file has them."""
    actor, *others = _parts(content)
    if "actor_mean.0.weight" in actor:
        why = "is a PPO agent of CleanRL, trained on normalised observations whose statistics it does not store"
        norm, beside = required_norm(choices, why, EPS, CLIP)
        policy = Actor(
            algorithm="ppo",
            chain=nets.numbered(actor, "actor_mean."),
            spread=actor.get("actor_logstd"),
            activation="tanh",
            squash="none",
            value=nets.numbered(actor, "critic."),
            norm=norm,
            beside=beside,
        )
        return policy_of(policy, choices)
    gaussian = "fc_mean.weight" in actor
    layers = [nets.layer(actor, name) for name in ("fc1", "fc2", "fc_mean" if gaussian else "fc_mu")]
    half, center = (actor[name].float().reshape(-1) for name in BOX)
    critics = [[nets.layer(critic, f"fc{number}") for number in (1, 2, 3)] for critic in others]
    policy = Actor(
        algorithm="sac" if gaussian else "td3",
        chain=layers,
        spread=nets.layer(actor, "fc_logstd") if gaussian else None,
        bounds=(-5, 2),
        soft=True,
        critics=critics,
        box=(center - half, center + half),
    )
    choices.inferred["observations"] = "as they are: this family's TD3, DDPG and SAC do not normalise"
    return policy_of(policy, choices)


def _parts(content: Content) -> list[Mapping[str, Tensor]]:
    """The state dict of the actor and those of critics beside it."""
    tree: Any = content.tree if isinstance(content.tree, (tuple, list)) else [content.tree]
    return [state_dict(part) for part in tree[:4]] or [{}]


def _ppo_names(actor: Mapping[str, Tensor]) -> set[str]:
    return {name for name in actor if name.startswith(("actor_mean.", "critic."))} | {"actor_logstd"}
