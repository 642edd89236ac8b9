"""CORL's .pt files: a dict with the state dict of the actor under `actor`, critics beside it.

Tarasov et al. 2022 (arXiv:2210.07105). TD3+BC, BC, CQL, IQL and AWAC train on normalised observations and do not store
the statistics. SAC-N, EDAC and LB-SAC do not normalise observations.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from microbench.checkpoints import layers as nets
from microbench.checkpoints.actors import Actor, members, only, policy_of, required_norm
from microbench.checkpoints.containers.content import Content, state_dict
from microbench.checkpoints.stored_policy import Choices, StoredPolicy

EPS = 1e-3  # added to the standard deviation by compute_mean_std
STARTS = ("net.0.", "net.net.0.", "base_network.0.", "trunk.0.", "_mlp.0.")
PARTS = re.compile(
    r"(net|net\.net|base_network|trunk|_mlp)\.\d+\.(weight|bias)|(mu|log_sigma)\.(weight|bias)|_?log_std"
    r"|log_std_(multiplier|offset)\.constant"
)


def detect(content: Content) -> bool:
    """Whether the file is a dict whose `actor` has layers named as CORL names them."""
    tensors = state_dict(content.entry("actor"))
    return any(name.startswith(STARTS) for name in tensors)


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy; the names of its layers decide the algorithm."""
    tensors = state_dict(content.entry("actor"))
    only(tensors, lambda name: PARTS.fullmatch(name) is not None, "the actor")
    actor = _actor(tensors, content.tree)
    if "mu.weight" in tensors:
        return policy_of(actor, choices)
    why = "was trained on normalised observations, as CORL does, and their statistics are not in the file"
    norm, beside = required_norm(choices, why, EPS)
    return policy_of(Actor(**(vars(actor) | {"norm": norm, "beside": beside})), choices)


def _actor(tensors: Mapping[str, Tensor], tree: Mapping[str, Any]) -> Actor:
    about = {"steps": tree.get("total_it")} if isinstance(tree.get("total_it"), int) else {}
    if "mu.weight" in tensors:  # SAC-N, EDAC, LB-SAC
        chain = [*nets.numbered(tensors, "trunk."), nets.layer(tensors, "mu")]
        spread = nets.layer(tensors, "log_sigma")
        critics = nets.ensemble(state_dict(tree.get("critic")), "critic.")
        return Actor(algorithm="sac-n", chain=chain, spread=spread, bounds=(-5, 2), critics=critics, about=about)
    if "base_network.0.weight" in tensors:  # CQL
        constants = [tensors.get(f"log_std_{name}.constant") for name in ("multiplier", "offset")]
        affine = (
            1.0 if constants[0] is None else float(constants[0]),
            0.0 if constants[1] is None else float(constants[1]),
        )
        critics = [nets.numbered(state_dict(tree.get(f"critic{number}")), "network.") for number in (1, 2)]
        chain = nets.numbered(tensors, "base_network.")
        return Actor(algorithm="cql", chain=chain, doubled=True, affine=affine, critics=critics, about=about)
    if "_mlp.0.weight" in tensors:  # AWAC: the mean is clipped, not squashed
        critics = [nets.numbered(state_dict(tree.get(f"critic_{number}")), "_mlp.") for number in (1, 2)]
        chain, spread_row = nets.numbered(tensors, "_mlp."), tensors.get("_log_std")
        return Actor(algorithm="awac", chain=chain, spread=spread_row, squash="none", critics=critics, about=about)
    if "net.net.0.weight" in tensors:  # IQL
        values = state_dict(tree.get("qf"))
        critics = [nets.numbered(members(values, f"q{number}."), "net.") for number in (1, 2)]
        chain, row = nets.numbered(tensors, "net.net."), tensors.get("log_std")
        return Actor(algorithm="iql", chain=chain, spread=row, outer=True, critics=critics, about=about)
    critics = [nets.numbered(state_dict(tree.get(f"critic_{number}")), "net.") for number in (1, 2)]
    algorithm = "td3-bc" if any(critics) else "bc"
    return Actor(algorithm=algorithm, chain=nets.numbered(tensors, "net."), critics=critics, about=about)
