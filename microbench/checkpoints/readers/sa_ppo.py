"""The .model files of SA-PPO, ATLA, PA-AD and WocaR: a dict of state dicts with pickled environments around it.

Zhang et al. 2020 (arXiv:2003.08938) and 2021 (arXiv:2101.08452), Sun et al. 2022 (arXiv:2106.05087), Liang et al. 2022
(arXiv:2210.05927). Layers are tanh and the mean is clipped to the action box. A ZFilter inside the pickled environments
normalises observations.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from attacks import Memory
from microbench.checkpoints import layers as nets
from microbench.checkpoints.containers.arrays import numbers
from microbench.checkpoints.containers.content import Content, state_dict
from microbench.checkpoints.containers.pickles import Stub
from microbench.checkpoints.layers import Function, Layer, Norm
from microbench.checkpoints.stored_policy import Choices, StoredPolicy
from microbench.checkpoints.written_out import written_out
from microbench.errors import UserError

ENVIRONMENT = re.compile(r"(\w+?)Env(?:V\d)?")
STD_EPS = 1e-8  # ZFilter divides by std + 1e-8


def detect(content: Content) -> bool:
    """Whether the file is a dict with policy_model and val_model."""
    return isinstance(content.entry("policy_model"), dict) and isinstance(content.entry("val_model"), dict)


def read(content: Content, choices: Choices) -> StoredPolicy:
    """The stored policy; an LSTM's memory is appended to the observation."""
    tensors = state_dict(content.entry("policy_model"))
    environment = first_environment(content)
    norm = z_filter(content, environment)
    recurrent = any(name.startswith("lstm.") for name in tensors)  # such files keep unused affine layers, too
    activation = "tanh" if recurrent else choices.activation("tanh")
    head, memory, sizes = network(tensors, norm, activation)
    log_std = tensors["log_stdev"].float()
    values = state_dict(content.entry("val_model"))
    forward = not any(name.startswith("lstm.") for name in values) and "final.weight" in values
    layers = [*nets.numbered(values, "affine_layers."), nets.layer(values, "final")] if forward else []
    return StoredPolicy(
        algorithm="sa-ppo" if "adversary_policy_model" not in content.tree else "atla",
        obs_size=sizes[0],
        action_size=sizes[-1],
        head=head,
        squash=choices.squash("none"),
        log_std=lambda seen: log_std.expand(len(seen), -1),
        value=nets.value_of(layers, activation, norm) if forward and not recurrent else None,
        critic=None if recurrent else worst_case_critic(content, choices, norm, (sizes[0], sizes[-1])),
        network=None if recurrent else written_out(chain_of(tensors), activation, norm),
        norm=norm,
        memory=memory,
        robots=robots_of(environment),
        about={"layers": sizes, "recurrent": recurrent, "adversary": "adversary_policy_model" in content.tree},
    )


def worst_case_critic(
    content: Content, choices: Choices, norm: Norm, sizes: tuple[int, int]
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """WocaR's q_model: the value of an action if an adversary perturbs all later observations in the worst way.

    The network resembles the value network and takes normalised observation and action (Liang et al. 2022, section 4).
    """
    tensors = state_dict(content.entry("q_model"))
    if not tensors:
        return None
    chain = [*nets.numbered(tensors, "affine_layers."), nets.layer(tensors, "final")]
    if (nets.sizes(chain)[0], nets.sizes(chain)[-1]) != (sum(sizes), 1):
        choices.inferred["critic"] = (
            f"none: the q_model in the file takes {nets.sizes(chain)[0]} numbers, not {sum(sizes)}"
        )
        return None
    choices.inferred["critic"] = "the q_model in the file, which WocaR trains as the worst-case value Q(s, a)"
    return nets.smallest([nets.mlp(chain, "tanh")], norm)


def network(tensors: Mapping[str, Tensor], norm: Norm, activation: str) -> tuple[Function, Memory | None, list[int]]:
    """The function obs → mean action (or an adversary's direction), its memory, and the sizes of its layers."""
    if any(name.startswith("lstm.") for name in tensors):
        return _lstm(tensors, norm)
    chain = chain_of(tensors)
    return nets.after(norm, nets.mlp(chain, activation)), None, nets.sizes(chain)


def chain_of(tensors: Mapping[str, Tensor]) -> list[Layer]:
    """The layers of a policy without memory."""
    return [*nets.numbered(tensors, "affine_layers."), nets.layer(tensors, "final_mean")]


def _lstm(tensors: Mapping[str, Tensor], norm: Norm) -> tuple[Function, Memory, list[int]]:
    """A network of embedding, one LSTM layer and output; the memory (h, c) is zero at the start of an episode."""
    embed, out = nets.layer(tensors, "embedding_layer"), nets.layer(tensors, "output_layer")
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    w_x, w_h, b_x, b_h = (tensors[f"lstm.{name}"].float() for name in names)
    width = w_h.shape[1]
    inputs = embed[0].shape[1]
    if w_x.shape != (4 * width, embed[0].shape[0]) or w_h.shape[0] != 4 * width or out[0].shape[1] != width:
        raise ValueError("an LSTM whose sizes do not fit")

    def step(seen: Tensor) -> tuple[Tensor, Tensor]:
        obs, h, c = seen[:, :inputs], seen[:, inputs : inputs + width], seen[:, inputs + width :]
        gates = functional.linear(functional.linear(norm(obs), *embed), w_x, b_x) + functional.linear(h, w_h, b_h)
        let_in, forget, new, let_out = gates.chunk(4, -1)
        c = forget.sigmoid() * c + let_in.sigmoid() * new.tanh()
        return let_out.sigmoid() * c.tanh(), c

    memory = Memory(start=torch.zeros(2 * width), advance=lambda seen, _: torch.cat(step(seen), -1))
    return (
        lambda seen: functional.linear(step(seen)[0], *out),
        memory,
        [inputs, embed[0].shape[0], width, out[0].shape[0]],
    )


def first_environment(content: Content) -> Stub:
    """The first pickled environment, as a stub; UserError if the file has none and so no statistics."""
    environments = content.entry("envs")
    if not isinstance(environments, list) or not environments or not isinstance(environments[0], Stub):
        raise UserError(
            f"{content.path} was stored without its environments, which hold the statistics of observations that the "
            f"policy needs; give a file with them."
        )
    return environments[0]


def z_filter(content: Content, environment: Stub) -> Norm:
    """The frozen running normalisation: mean rs._M, std √(rs._S/(rs._n − 1)), clipped to ±clip."""
    stored = environment.get("state_filter")
    running = stored.get("rs") if isinstance(stored, Stub) else None
    if not isinstance(stored, Stub) or not isinstance(running, Stub):
        raise UserError(f"{content.path} has no ZFilter for observations; expected a file of SA-PPO or its successors.")
    count = float(running.get("_n"))
    mean, summed = numbers(running.get("_M")), numbers(running.get("_S"))
    std = (summed / max(count - 1, 1)) ** 0.5 + STD_EPS
    clip: Any = stored.get("clip")
    return Norm(
        mean=torch.from_numpy(mean).float(),
        std=torch.from_numpy(std).float(),
        clip=float("inf") if clip is None else float(clip),
    )


def robots_of(environment: Stub) -> tuple[str, ...]:
    """The robot by the class of the wrapped environment: gym.envs.mujoco.walker2d.Walker2dEnv → Walker2d."""
    inner: Any = environment
    for _ in range(10):
        if not isinstance(inner, Stub):
            return ()
        package, _, place = inner.origin.partition(".envs.mujoco.")
        robot = ENVIRONMENT.fullmatch(place.rpartition(".")[2])
        if robot and package.startswith("gym") and package.isidentifier():
            return (robot[1],)
        inner = inner.get("env")
    return ()
