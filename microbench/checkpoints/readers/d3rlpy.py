"""d3rlpy's .d3 files: a pickle of torch bytes, a JSON description and a version.

Seno and Imai 2022 (arXiv:2111.03788). The description has activation, observation scaler and action scaler.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from microbench.checkpoints import layers as nets
from microbench.checkpoints.actors import Actor, members, only, policy_of
from microbench.checkpoints.containers.archives import Archive
from microbench.checkpoints.containers.arrays import numbers
from microbench.checkpoints.containers.content import Content, read_json, state_dict
from microbench.checkpoints.containers.torch_files import read_zip
from microbench.checkpoints.layers import Layer, Norm
from microbench.checkpoints.stored_policy import Choices, StoredPolicy
from microbench.errors import UserError

PARTS = re.compile(r"(_encoder\._layers\.\d+|_fc|_mu|_logstd)\.(weight|bias)|_logstd")
MOST_CRITICS = 100
EPS = 1e-3  # of the standard scaler, unless the description says it
BOUNDS = {"iql": (-5.0, 2.0), "awac": (-6.0, 0.0), "bc": (-4.0, 15.0)}  # range of the log std
USUAL = (-20.0, 2.0)
REFUSED = {
    **{kind: "chooses among sampled actions" for kind in ("bear", "bcq", "crr")},
    **{kind: "decodes its actions with another network" for kind in ("plas", "plas_with_perturbation")},
    **{kind: "chooses among discrete actions" for kind in ("dqn", "double_dqn", "nfq", "qr_dqn", "iqn")},
    "decision_transformer": "is a Decision Transformer and acts on a history of returns, observations and actions",
}
"""Algorithms whose action is not the output of their policy network, with the reason."""


def detect(content: Content) -> bool:
    """Whether the file is a dict with torch bytes and a config."""
    return isinstance(content.entry("torch"), bytes) and isinstance(content.entry("config"), str)


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy and its Q functions."""
    description = read_json(content.tree["config"])
    config = description.get("config", description)
    kind, params = str(config.get("type", "d3rlpy")), config.get("params", {})
    refused = "chooses among discrete actions" if kind.startswith("discrete_") else REFUSED.get(kind)
    if refused is not None:
        raise UserError(f"{content.path} is of {kind}, which {refused}; wrap it as a module:callable.")
    stored = read_zip(Archive(content.tree["torch"]))
    policy = next((part for key in ("policy", "_policy", "imitator") if (part := state_dict(stored.get(key)))), {})
    only(policy, lambda name: PARTS.fullmatch(name) is not None, "the policy")
    hidden = nets.numbered(policy, "_encoder._layers.")
    head = "_fc" if "_fc.weight" in policy else "_mu"
    spread: Layer | Tensor | None = policy.get("_logstd")
    if "_logstd.weight" in policy:
        spread = nets.layer(policy, "_logstd")
    actor = Actor(
        algorithm=kind,
        chain=[*hidden, nets.layer(policy, head)],
        spread=spread,
        bounds=BOUNDS.get(kind, USUAL),
        ranged=True,
        outer=kind in BOUNDS,
        critics=_critics(stored),
        scaled=True,
        stored_activation=_activation(params),
        norm=_norm(content, params.get("observation_scaler")),
        box=_box(params.get("action_scaler")),
        about={"version": str(content.entry("version"))[:20]},
    )
    return policy_of(actor, choices)


def _critics(stored: Mapping[str, Any]) -> list[list[Layer]]:
    values = next((part for key in ("q_funcs", "_q_funcs") if (part := state_dict(stored.get(key)))), {})
    names = sorted({name.partition(".")[0] for name in values if name.partition(".")[0].isdigit()}, key=int)
    if len(names) > MOST_CRITICS:
        raise ValueError("more critics than an ensemble has")
    chains = []
    for name in names:
        own = members(values, f"{name}.")
        if "_fc.weight" in own and len(own["_fc.weight"]) == 1:  # distributional ones have more outputs
            chains.append([*nets.numbered(own, "_encoder._layers."), nets.layer(own, "_fc")])
    return chains


def _activation(params: Mapping[str, Any]) -> str | None:
    encoder = params.get("actor_encoder_factory") or params.get("encoder_factory") or {}
    name = encoder.get("params", {}).get("activation")
    name = name.get("type") if isinstance(name, dict) else name
    return {"swish": "silu"}.get(name, name) if isinstance(name, str) else None


def _norm(content: Content, scaler: Any) -> Norm | None:
    """The normalisation of a standard or min-max scaler; other scalers are refused."""
    if not scaler or scaler.get("type") == "none":
        return None
    params = scaler.get("params", {})
    if scaler.get("type") == "min_max":
        low, high = (torch.from_numpy(numbers(params[name])).float() for name in ("minimum", "maximum"))
        half = (high - low) / float(params.get("multiplier", 2.0))  # z = multiplier·(obs − low)/(high − low) − 1
        return Norm(mean=low + half, std=half)
    if scaler.get("type") != "standard":
        raise UserError(
            f"{content.path} scales observations by {scaler.get('type')!r:.40}, which is not read here; wrap it as a "
            f"module:callable."
        )
    mean, std = (torch.from_numpy(numbers(params[name])).float() for name in ("mean", "std"))
    return Norm(mean=mean, std=std + float(params.get("eps", EPS)))


def _box(scaler: Any) -> tuple[Tensor, Tensor] | None:
    if not scaler or scaler.get("type") != "min_max":
        return None
    low, high = (torch.from_numpy(numbers(scaler["params"][name])).float() for name in ("minimum", "maximum"))
    return low, high
