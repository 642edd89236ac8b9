"""Single-file implementations of TD3 and SAC: a state dict of one actor, recognised by its layers' names.

Names are Fujimoto's l1/l2/l3, torch.nn.Sequential's net.0/net.2/net.4, or fc1/fc2/…. The file stores neither the hidden
activation nor the action box. Twice as many outputs as actions are a Gaussian's mean and log std.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from microbench.checkpoints import layers as nets
from microbench.checkpoints.actors import UNNORMALISED, Actor, policy_of
from microbench.checkpoints.containers.content import Content
from microbench.checkpoints.layers import Layer, Norm
from microbench.checkpoints.statistics import read_statistics
from microbench.checkpoints.stored_policy import Choices, StoredPolicy
from microbench.checkpoints.task_of import others_of, sizes_of, tasks_of
from microbench.errors import UserError

NAMES = re.compile(
    r"(?:actor\.|policy\.)?(?:l|fc|layers?\.|net\.|linear|mlp\.|network\.|main\.|model\.)?(\d+)\.(?:weight|bias)"
)
HEADS = ("mean", "mu", "fc_mean", "fc_mu", "mean_linear", "mu_layer")
SPREADS = ("log_std", "logstd", "fc_logstd", "fc_log_std", "log_std_linear", "log_std_layer")
RESCALING = frozenset({"action_scale", "action_bias"})


def detect(content: Content) -> bool:
    """Whether the file is a flat dict of tensors with such names and no others."""
    return bool(content.tensors) and not unknown(content.tensors) and bool(_numbered(content.tensors))


def unknown(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that no such network has, so that a plain reading would be wrong."""
    heads = {f"{name}.{part}" for name in (*HEADS, *SPREADS) for part in ("weight", "bias")}
    return [name for name in tensors if not NAMES.fullmatch(name) and name not in heads | RESCALING]


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy; of a Gaussian's output the first half is assumed to be the mean."""
    tensors = content.tensors
    chain, spread = _numbered(tensors), None
    mean, log_std = (_named(tensors, names) for names in (HEADS, SPREADS))
    if mean is not None:
        chain, spread = [*chain, mean], log_std
    inputs, outputs = nets.sizes(chain)[0], nets.sizes(chain)[-1]
    norm, beside = normalisation(choices)
    doubled = mean is None and _is_doubled(inputs, outputs, choices.overrides.env_id)
    actions = outputs // 2 if doubled else outputs
    if doubled:
        choices.inferred["output"] = (
            f"the first {actions} of {outputs} numbers are the mean: no task has {outputs} actions"
        )
    box = None
    if "action_scale" in tensors:
        center, half = (tensors[name].float().reshape(-1) for name in ("action_bias", "action_scale"))
        box = (center - half, center + half)
    actor = Actor(
        algorithm="sac" if doubled or spread is not None else "td3",
        chain=chain,
        spread=spread,
        doubled=doubled,
        norm=norm,
        box=box,
        beside=beside,
    )
    return policy_of(actor, choices)


def _is_doubled(inputs: int, outputs: int, env_id: str | None) -> bool:
    """Whether the outputs are twice the actions of the user's task, else of a task with as many sensors."""
    task = sizes_of(env_id) if env_id is not None else None
    if task is not None:
        return outputs == 2 * task[1]
    known = [bool(tasks_of(inputs, count) or others_of(inputs, count)) for count in (outputs, outputs // 2)]
    return outputs % 2 == 0 and known == [False, True]


def normalisation(choices: Choices) -> tuple[Norm | None, tuple[bytes, ...]]:
    """The normalisation from --obs-stats, or none unless that has `"policy": true`, and the file's bytes."""
    file = choices.overrides.obs_stats
    if file is None or str(file) == UNNORMALISED:
        choices.inferred["observations"] = "as they are: the file has no statistics; give --obs-stats if it needs some"
        return None, ()
    stats = read_statistics(file)
    if not stats.policy:
        choices.inferred["observations"] = f'as they are: {file.name} does not say "policy": true'
        return None, ()
    choices.inferred["observations"] = f"normalised with the statistics of {file.name}"
    return stats.norm, (stats.raw,)


def _numbered(tensors: Mapping[str, Tensor]) -> list[Layer]:
    """The layers in the order of their numbers; UserError if two layers have one number."""
    names = {int(match[1]): name.rpartition(".")[0] for name in tensors if (match := NAMES.fullmatch(name))}
    weights = [name for name in tensors if NAMES.fullmatch(name) and name.endswith("weight")]
    if len(names) != len(weights):
        raise UserError(f"there are two layers of one number among {', '.join(weights)[:200]}; expected one network.")
    return [nets.layer(tensors, names[number]) for number in sorted(names)]


def _named(tensors: Mapping[str, Tensor], names: tuple[str, ...]) -> Layer | None:
    return next((nets.layer(tensors, name) for name in names if f"{name}.weight" in tensors), None)
