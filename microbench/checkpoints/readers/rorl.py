"""Snapshots of RORL and EDAC (offline_itr_….pt): whole pickled modules, of which only tensors and settings are read.

Yang et al. 2022 (arXiv:2206.02829), An et al. 2021 (arXiv:2110.01548). A tanh-Gaussian policy and one stacked ensemble
of critics; the normalisation of observations lies in the module.
"""

import torch
from torch import Tensor

from microbench.checkpoints import layers as nets
from microbench.checkpoints.actors import Actor, found
from microbench.checkpoints.containers.budget import pay
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.containers.pickles import Stub
from microbench.checkpoints.found import Choices, Found
from microbench.checkpoints.layers import Layer, Norm

MOST_MODULES = 200
POLICY, CRITICS = "trainer/policy", "trainer/qfs"


def detect(content: Content) -> bool:
    """A dict with trainer/policy, a module with layers fc0 and last_fc."""
    policy = content.entry(POLICY)
    return isinstance(policy, Stub) and {"fc0.weight", "last_fc.weight"} <= set(tensors_of(policy))


def read(content: Content, choices: Choices) -> Found:
    """The policy and the smallest of its critics."""
    policy = content.tree[POLICY]
    tensors = tensors_of(policy)
    if policy.get("layer_norm") or policy.get("batch_norm"):
        raise ValueError("a policy with layer or batch normalisation")
    hidden = nets.numbered(tensors, "fc")
    spread = nets.layer(tensors, "last_fc_log_std") if "last_fc_log_std.weight" in tensors else None
    activation = str(getattr(policy.get("hidden_activation"), "origin", ""))  # a function by its name, never itself
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
    return found(actor, choices)


def tensors_of(module: Stub) -> dict[str, Tensor]:
    """Parameters of a pickled module and of the modules in it, by their usual names.

    Raises:
        ValueError: more modules than such a file has (one within itself).
    """
    made: dict[str, Tensor] = {}
    waiting = [("", module)]
    for _ in range(MOST_MODULES):
        if not waiting:
            return made
        prefix, part = waiting.pop()
        parameters, inner = (part.get(name) or {} for name in ("_parameters", "_modules"))
        pay(size=200 * (len(parameters) + len(inner)), steps=len(parameters) + len(inner))
        for name, value in parameters.items():
            if isinstance(value, Tensor):
                made[f"{prefix}{name}"] = value
        waiting += [(f"{prefix}{name}."[:200], one) for name, one in inner.items() if isinstance(one, Stub)]
    raise ValueError("more modules than a policy has")


def _norm(policy: Stub, choices: Choices) -> Norm | None:
    """(obs − mean)/std; the std in the module has its 1e-6 already."""
    mean, std = policy.get("obs_norm_mean"), policy.get("obs_norm_std")
    if not policy.get("norm_input") or not isinstance(mean, Tensor) or not isinstance(std, Tensor):
        choices.inferred["observations"] = "as they are: the file says so"
        return None
    if not bool((std > 0).all()) or not bool(torch.isfinite(mean).all()):
        raise ValueError("statistics that are no mean and std")
    choices.inferred["observations"] = "normalised with the statistics in the file"
    return Norm(mean=mean.float().reshape(-1), std=std.float().reshape(-1))


def _critics(tensors: dict[str, Tensor]) -> list[list[Layer]]:
    """One stack of weights W (N, in, out) and biases b (N, 1, out) per layer."""
    names = sorted((name for name in tensors if name.startswith("fc") and name.endswith(".W")), key=_number)
    stacks = [(tensors[f"{name[:-2]}.W"], tensors[f"{name[:-2]}.b"]) for name in [*names, "last_fc.W"]]
    count = len(stacks[0][0])
    if count > nets.MOST_MEMBERS:
        raise ValueError("an ensemble of more members than one has")
    return [[nets.transposed(w[member], b[member]) for w, b in stacks] for member in range(count)]


def _number(name: str) -> int:
    return int(name[2:-2])
