"""Snapshots of RORL and EDAC (offline_itr_….pt): pickled modules, read only for their tensors and settings.

Yang et al. 2022 (arXiv:2206.02829), An et al. 2021 (arXiv:2110.01548). They hold a tanh-Gaussian policy and one stacked
ensemble of critics; the normalisation of observations is in the policy's module.
"""

import torch
from torch import Tensor

from microbench.checkpoints import layers as nets
from microbench.checkpoints.actors import Actor, policy_of
from microbench.checkpoints.containers.budget import pay
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.containers.pickles import Stub
from microbench.checkpoints.layers import Layer, Norm
from microbench.checkpoints.stored_policy import Choices, StoredPolicy

MOST_MODULES = 200
POLICY, CRITICS = "trainer/policy", "trainer/qfs"


def detect(content: Content) -> bool:
    """Whether the file is a dict with trainer/policy, a module with layers fc0 and last_fc."""
    policy = content.entry(POLICY)
    return isinstance(policy, Stub) and {"fc0.weight", "last_fc.weight"} <= set(tensors_of(policy))


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy and its critics."""
    policy = content.tree[POLICY]
    tensors = tensors_of(policy)
    if policy.get("layer_norm") or policy.get("batch_norm"):
        raise ValueError("a policy with layer or batch normalisation")
    hidden = nets.numbered(tensors, "fc")
    spread = nets.layer(tensors, "last_fc_log_std") if "last_fc_log_std.weight" in tensors else None
    activation = str(
        getattr(policy.get("hidden_activation"), "origin", "")
    )  # a function's name; the function itself is not imported
    critics = content.entry(CRITICS)
    actor = Actor(
        algorithm="sac-n",
        chain=[*hidden, nets.layer(tensors, "last_fc")],
        spread=spread,
        bounds=(-5, 2),
        critics=_critics(tensors_of(critics)) if isinstance(critics, Stub) else (),
        stored_activation=activation.rpartition(".")[2] or None,
        norm=_norm(policy, choices),
    )
    return policy_of(actor, choices)


def tensors_of(module: Stub) -> dict[str, Tensor]:
    """Parameters of a pickled module and of the modules in it, by their usual names.

    Raises:
        ValueError: there are more modules than a policy has, as of a module within itself.
    """
    tensors: dict[str, Tensor] = {}
    waiting = [("", module)]
    for _ in range(MOST_MODULES):
        if not waiting:
            return tensors
        prefix, part = waiting.pop()
        parameters, inner = (part.get(name) or {} for name in ("_parameters", "_modules"))
        pay(size=200 * (len(parameters) + len(inner)), steps=len(parameters) + len(inner))
        for name, value in parameters.items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}{name}"] = value
        waiting += [(f"{prefix}{name}."[:200], one) for name, one in inner.items() if isinstance(one, Stub)]
    raise ValueError("more modules than a policy has")


def _norm(policy: Stub, choices: Choices) -> Norm | None:
    """The normalisation (obs − mean)/std of the module; its std includes the 1e-6 already."""
    mean, std = policy.get("obs_norm_mean"), policy.get("obs_norm_std")
    if not policy.get("norm_input") or not isinstance(mean, Tensor) or not isinstance(std, Tensor):
        choices.inferred["observations"] = "as they are: the file says so"
        return None
    if not bool((std > 0).all()) or not bool(torch.isfinite(mean).all()):
        raise ValueError("statistics that are no mean and std")
    choices.inferred["observations"] = "normalised with the statistics in the file"
    return Norm(mean=mean.float().reshape(-1), std=std.float().reshape(-1))


def _critics(tensors: dict[str, Tensor]) -> list[list[Layer]]:
    """The layers of N critics, stored as one stack per layer: weights W (N, in, out), biases b (N, 1, out)."""
    names = sorted((name for name in tensors if name.startswith("fc") and name.endswith(".W")), key=_number)
    stacks = [(tensors[f"{name[:-2]}.W"], tensors[f"{name[:-2]}.b"]) for name in [*names, "last_fc.W"]]
    count = len(stacks[0][0])
    if count > nets.MOST_MEMBERS:
        raise ValueError("an ensemble of more members than one has")
    return [[nets.transposed(w[member], b[member]) for w, b in stacks] for member in range(count)]


def _number(name: str) -> int:
    return int(name[2:-2])
