"""policy.pth of OfflineRL-Kit and of its descendants, MICRO's and MOBILE's reference code.

The file is a state dict of the whole policy. The SAC family (MOPO, COMBO, RAMBO, MOBILE, MICRO), IQL and BC do not
normalise observations. TD3+BC normalises them and does not store the statistics.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from microbench.checkpoints import layers as nets
from microbench.checkpoints.actors import Actor, only, policy_of, required_norm
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.layers import Layer
from microbench.checkpoints.stored_policy import Choices, StoredPolicy

MOST_CRITICS = 100
EPS = 1e-3
FREE = (float("-inf"), float("inf"))
PARTS = re.compile(
    r"actor\.(backbone\.model\.\d+\.(weight|bias)|dist_net\.(mu|sigma)\.(weight|bias)|dist_net\.sigma_param|last\.(weight|bias))"
)
CRITIC = re.compile(r"(critic[12]|critic_q[12]|critics\.\d+)\.backbone\.model\.0\.weight")


def detect(content: Content) -> bool:
    """Whether the file is a state dict with actor.backbone.model."""
    return "actor.backbone.model.0.weight" in content.tensors


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy and the trained critics, not their target copies."""
    tensors = content.tensors
    only(
        {name: value for name, value in tensors.items() if name.startswith("actor.")},
        lambda name: PARTS.fullmatch(name) is not None,
        "the actor",
    )
    hidden, critics = nets.numbered(tensors, "actor.backbone.model."), _critics(tensors)
    if "actor.last.weight" in tensors and not critics:
        choices.inferred["observations"] = "as they are: this family's BC does not normalise"
        chain = [*hidden, nets.layer(tensors, "actor.last")]
        return policy_of(Actor(algorithm="bc", chain=chain), choices)
    if "actor.last.weight" in tensors:
        why = "is a deterministic policy of OfflineRL-Kit, whose TD3+BC normalises observations and does not store how"
        norm, beside = required_norm(choices, why, EPS)
        chain = [*hidden, nets.layer(tensors, "actor.last")]
        return policy_of(Actor(algorithm="td3-bc", chain=chain, critics=critics, norm=norm, beside=beside), choices)
    spread: Layer | Tensor | None = tensors.get("actor.dist_net.sigma_param")
    outer = spread is not None  # IQL's log std is a parameter of its own: around the squashed mean, and not clipped
    bounds = FREE if outer else (-5.0, 2.0)
    if "actor.dist_net.sigma.weight" in tensors:
        spread = nets.layer(tensors, "actor.dist_net.sigma")
    chain = [*hidden, nets.layer(tensors, "actor.dist_net.mu")]
    choices.inferred["observations"] = "as they are: this family's SAC does not normalise"
    return policy_of(
        Actor(algorithm="sac", chain=chain, spread=spread, bounds=bounds, outer=outer, critics=critics), choices
    )


def _critics(tensors: Mapping[str, Tensor]) -> list[list[Layer]]:
    names = sorted({match[1] for name in tensors if (match := CRITIC.fullmatch(name))})
    if not names:  # EDAC keeps its critics in one stack
        return nets.ensemble(tensors, "critics.model.")
    if len(names) > MOST_CRITICS:
        raise ValueError("more critics than an ensemble has")
    return [[*nets.numbered(tensors, f"{name}.backbone.model."), nets.layer(tensors, f"{name}.last")] for name in names]
